// Runs on an emulated POWER host: what somebody does there who has the package and has never seen it.
import path from 'node:path'
import { example, install, moved, permissions, runProgram } from '../../package/newcomer.ts'
import { check, conclude, say } from '../steps.ts'

const [tarball = '', readme = '', npmProgram = '', cache = ''] = process.argv.slice(2)
const project = '/tmp/empty'

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(0)} s`

say(`Node ${process.versions.node} on ${process.platform}-${process.arch}`)

const started = performance.now()
await install(project, tarball, [process.execPath, npmProgram, '--offline', '--cache', cache])
say(
  `   npm installed ${path.basename(tarball)} in an empty project, with scripts off (${seconds(started)})`,
)

const text = await example(readme)
check(
  moved.test(await runProgram(project, 'move.mjs', text)),
  'the example of the README moves a timebase',
)

check(
  moved.test(await runProgram(project, 'move.mjs', text, permissions(project))),
  "the same under Node's permission model",
)

const required = await runProgram(
  project,
  'required.cjs',
  `const { openHost } = require('kvm-ppc-onereg')
   const host = openHost()
   const vcpu = host.createVm().createVcpu(0)
   vcpu.set('TB_OFFSET', 5n)
   console.log(host.backend, vcpu.get('TB_OFFSET'))`,
)
check(required === 'kvm 16777216n\n', 'from CommonJS, real KVM rounds an offset up to 2^24')

const verified = await runProgram(
  project,
  'verify.mjs',
  `import { openHost } from 'kvm-ppc-onereg'
   import { verify } from 'kvm-ppc-onereg/verify'
   const { promises } = await verify(openHost(), { seconds: 2 })
   for (const { name, kept, problems } of promises) if (!kept) console.log(name, problems)
   console.log(promises.filter(({ kept }) => kept).length, 'of', promises.length)`,
)
say(verified)
check(/^(\d+) of \1\n$/.test(verified), 'verify finds all promises kept, by guests that run')

conclude('The package works as it is installed.')
