import { cp, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Command } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  coveragePrograms,
  exitStatusHelp,
  Failure,
  type HostOptions,
  machine,
  machinesHelp,
  requirePrograms,
  runOnHost,
  withTemporary,
} from 'power-host'
import { project } from './project.ts'
import { COUNTING_ARGUMENTS, COUNTS_OF_LIB } from '../instrumented/counting.ts'
import { Recorded, showRecorded, sourcesNow } from '../instrumented/recorded.ts'
import { countingAddon } from './addon.ts'
import type { Collected } from './host/collect.ts'
import { vitestCommand } from './suite.ts'

const description =
  "Runs this project's tests on an emulated POWER host, on real KVM, and counts what they run of " +
  'lib/ and native/.'

const more = `
Examples:
  npm run test:coverage && npm run power -- coverage
  npm run power -- coverage -- --project tests --project power

What is run:
  The tests that npm run power -- test runs, with an addon that counts. The counts are recorded in
  coverage/ppc64; the tables are of all that is in coverage/, added up.
${machinesHelp}
${cacheHelp}
${exitStatusHelp("Vitest's: 0 if all tests passed, 1 if one failed or was skipped")}`

export const coverage = addHostOptions(new Command('coverage'), 3600)
  .summary('run the tests there and count what they run of lib/ and native/')
  .description(description)
  .argument('[arguments...]', 'names of test files or parts of them, and options of Vitest')
  .addHelpText('after', more)
  .passThroughOptions()
  .action(async (args: string[], { machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms([...allPrograms, ...coveragePrograms])
    const sources = await sourcesNow()
    const { status, result } = await runOnHost({
      machine: chosen,
      kernel,
      ...project('coverage'),
      command: [
        ...['node', '--import', 'tsx', 'test/power/host/collect.ts', COUNTS_OF_LIB],
        ...vitestCommand([...COUNTING_ARGUMENTS, ...args]),
      ],
      timeoutSeconds: timeout,
    })
    if ((await sourcesNow()) !== sources) throw new Failure('lib/ or native/ changed meanwhile')
    await record(collectedIn(result), sources)
    process.exitCode = (await showRecorded()) ? status : 1
  })

function collectedIn(result = '{}'): Collected {
  const { collected } = JSON.parse(result) as { collected?: string }
  const text = collected && gunzipSync(Buffer.from(collected, 'base64')).toString('utf8')
  const home = text ? (JSON.parse(text) as Collected) : undefined
  if (!home?.lib) throw new Failure('the tests have left no counts')
  return home
}

async function record({ project, lib, native }: Collected, sources: string): Promise<void> {
  const recorded = new Recorded('ppc64', sources)
  recorded.recordLib(lib, project)
  await withTemporary(async (directory) => {
    await cp(await countingAddon(), directory, { recursive: true })
    await cp('native', path.join(directory, 'native'), { recursive: true })
    await symlink(path.resolve('node_modules'), path.join(directory, 'node_modules'))
    for (const [name, bytes] of Object.entries(native)) {
      const file = path.join(directory, 'build/Release/obj.target', name)
      await writeFile(file, bytes, 'base64')
    }
    recorded.recordNative(directory, 'powerpc64le-linux-gnu-gcov')
  })
}
