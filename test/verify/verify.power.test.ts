import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { Host } from '../../lib/kvm/host.ts'
import { verify } from '../../lib/verify/index.ts'
import { promises } from '../../lib/verify/promises.ts'
import { Problems } from '../../lib/verify/trial.ts'
import type { Calls } from '../../lib/verify/trial.ts'
import { tryOne } from '../../lib/verify/try-all.ts'
import { commandLine } from '../support/command-line.ts'
import {
  forgettingVcpu,
  LyingKernel,
  rememberingOffset,
  sound,
  startingEarly,
  withoutDecExpiry,
  withoutInheriting,
} from './broken.ts'

const host = new Host(new NativeKernel())

afterAll(() => {
  host.close()
})

/** Tries one promise of a library that has these calls. Returns what is wrong. */
async function tried(name: string, calls: Calls, on = host): Promise<readonly string[]> {
  const promised = promises.find((promise) => promise.name === name)
  if (promised === undefined) throw new Error(`there is no promise ${name}`)
  const { signal } = new AbortController()
  const tell = (): void => undefined
  const problems = new Problems()
  await tryOne(promised, { host: on, calls, vcpus: 2, moveForMs: 300, signal, problems, tell })
  return problems.all
}

describe('verify on this host', () => {
  it('finds all promises kept, and prints what docs/cli.schema.json describes', async () => {
    vi.stubEnv('KVM_PPC_BACKEND', '')
    const { status, stdout, stderr } = await commandLine(['verify', '--seconds', '1', '--json'])
    vi.unstubAllEnvs()
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' })
    const document = JSON.parse(stdout) as { promises: unknown[]; differences: unknown[] }
    expect(document.promises).toHaveLength(promises.length)
    expect(document.differences).toEqual([])
    const schema = JSON.parse(readFileSync('docs/cli.schema.json', 'utf8')) as object
    const validate = new Ajv2020({ allowUnionTypes: true })
      .addSchema(schema, 'cli')
      .getSchema('cli#/$defs/verify')
    expect(validate?.(document), JSON.stringify(validate?.errors)).toBe(true)
  })

  it('leaves no file and no thread behind', async () => {
    const files = () =>
      readdirSync('/proc/self/fd').filter((fd) =>
        `${host.kernel.describe(Number(fd))}`.includes('kvm'),
      )
    const threads = () => readdirSync('/proc/self/task').length
    await tried('freeze, nearest', sound)
    const before = { files: files(), threads: threads() }
    for (const name of ['freeze, nearest', 'hot-plug', 'a load that fails']) {
      await tried(name, sound)
    }
    expect(files()).toEqual(before.files)
    // These are five guests or more, of two threads each; Node may start its own four meanwhile.
    expect(threads()).toBeLessThan(before.threads + 5)
  })

  it('ends when it is aborted, with the reason', async () => {
    const controller = new AbortController()
    const onProgress = (): void => {
      controller.abort(new Error('enough'))
    }
    const { signal } = controller
    await expect(verify(host, { seconds: 600, signal, onProgress })).rejects.toThrow('enough')
  })

  it('ends by SIGINT without a report', async () => {
    const args = [path.resolve('dist/cli/main.js'), 'verify', '--seconds', '600']
    const env = { ...process.env, KVM_PPC_BACKEND: 'kvm', KVM_PPC_TRACE: '1', NODE_OPTIONS: '' }
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('TB_OFFSET')) child.kill('SIGINT')
    })
    const [, signal] = (await once(child, 'close')) as [number | null, string | null]
    expect({ signal, printed }).toEqual({ signal: 'SIGINT', printed: '' })
  })
})

describe('verify of a library that is broken says so', () => {
  it('if it remembers the offset that it asked for', async () => {
    let problems: readonly string[] = []
    // The offset that it asks for may be nearly a whole step, and the error too small to see.
    for (let time = 0; time < 20 && problems.length === 0; time++) {
      problems = await tried('freeze, up', rememberingOffset())
    }
    expect(problems[0]).toMatch(/did not go on during the load|above the saved|read a value below/)
  })

  it.each(['freeze, nearest', 'advance, up', 'freeze, align', 'decrementers, freeze'])(
    'if it leaves out DEC_EXPIRY: %s',
    async (name) => {
      const problems = await tried(name, withoutDecExpiry)
      expect(problems[0]).toMatch(/^vCPU 0 holds DEC_EXPIRY \d+ after the load/)
    },
  )

  it.each(['advance, nearest', 'freeze, align'])('if it forgets a vCPU: %s', async (name) => {
    const problems = await tried(name, forgettingVcpu)
    expect(problems[0]).toMatch(/^vCPU 1 holds TB_OFFSET 0, and \d+ was to be loaded/)
  })

  it('if it lets an aligned guest start before the instant', async () => {
    let problems: readonly string[] = []
    // On a busy machine the threads may get the processor only after the instant.
    for (let time = 0; time < 20 && problems.length === 0; time++) {
      problems = await tried('freeze, align', startingEarly)
    }
    expect(problems[0]).toMatch(/^vCPU \d read a value below the one before/)
  })

  it('if a new vCPU does not inherit', async () => {
    const problems = await tried('hot-plug', withoutInheriting)
    expect(problems[0]).toMatch(/^the new vCPU holds TB_OFFSET 0/)
  })

  it('or if only the guest can tell, since the kernel does not hold what it says', async () => {
    using lying = new Host(new LyingKernel())
    const problems = await tried('freeze, align', sound, lying)
    expect(problems[0]).toMatch(
      /^vCPU 0 read a timebase \d+ ticks ahead of the one that its TB_OFFSET gives$/,
    )
  })
})
