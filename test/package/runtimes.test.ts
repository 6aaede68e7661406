import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import { example, moved, openKvm, reachedTheKernel } from './newcomer.ts'
import { fetchTools } from './tools.ts'

const project = inject('project')

/** Their packages for one machine, which need no install script. */
const runtimes = [
  { name: 'Deno', from: '@deno/linux-x64-glibc@2.9.6', program: 'deno', args: ['run', '-A'] },
  { name: 'Bun', from: '@oven/bun-linux-x64@1.4.5', program: 'bin/bun', args: ['run'] },
]

/** Plain calls of the addon, in which Deno gives undefined for new.target (denoland/deno #13633). */
const calls = `
  import { NativeKernel, OneRegBatch } from 'kvm-ppc-onereg'
  const kernel = new NativeKernel()
  const fd = kernel.open('/dev/null')
  const batch = new OneRegBatch(1)
  batch.fds[0] = fd
  console.log(kernel.getOneRegs(batch), batch.results[0])
  batch.results[0] = 0
  console.log(await kernel.getOneRegsAsync(batch), batch.results[0])
  kernel.close(fd)
  console.log('closed')
`

describe('the package in other runtimes', () => {
  let folder: string
  let tools: Map<string, string>

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'runtimes-'))
    tools = await fetchTools(
      folder,
      runtimes.map(({ from }) => from),
    )
  }, 300_000)

  afterAll(() => rm(folder, { recursive: true }))

  describe.each(runtimes)('$name', ({ name, from, program, args }) => {
    async function printed(text: string): Promise<string> {
      const file = path.join(project, `in-${name}.mjs`)
      await writeFile(file, text)
      const env = { ...process.env, KVM_PPC_BACKEND: 'software', NO_COLOR: '1' }
      const executable = path.join(tools.get(from) ?? '', program)
      return (await run(executable, [...args, file], { cwd: project, env })).stdout
    }

    it('runs the README’s example', async () => {
      const readme = path.resolve(import.meta.dirname, '../../README.md')
      expect(await printed(await example(readme))).toMatch(moved)
    })

    it('opens real KVM', async () => {
      const text = `import { openHost } from 'kvm-ppc-onereg'\n${openKvm}`
      expect(await printed(text)).toMatch(reachedTheKernel)
    })

    it('calls the kernel on this thread and on another, and closes', async () => {
      expect(await printed(calls)).toBe('-25 -25\n0 -25\nclosed\n')
    })
  })
})
