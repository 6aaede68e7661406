import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { Host } from '../../../lib/kvm/host.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { TestGuest } from './index.ts'

const host = new Host(new NativeKernel())

afterAll(() => {
  host.close()
})

/** One of one vCPU, in KVM_RUN, which it does not leave. */
function runningGuest(): TestGuest {
  const guest = new TestGuest(host, 'watch', 1)
  guest.start()
  return guest
}

function threads(): number {
  return readdirSync('/proc/self/task').length
}

describe('a vCPU that runs', () => {
  it('lets the event loop live while getAsync waits, and answers when it is kicked', async () => {
    using guest = runningGuest()
    const [vcpu] = guest.vcpus
    await wait(100)
    let answer: bigint | undefined
    const call = vcpu?.getAsync('TB_OFFSET').then((value) => (answer = value))
    // Each waits for a timer and for a file, which the event loop has to hand on. How late they are
    // depends on how busy the machine is.
    for (let turn = 0; turn < 100; turn++) {
      await wait(1)
      await readFile('/proc/self/stat')
    }
    expect(answer).toBeUndefined()
    guest.stop()
    expect(await call).toBe(0n)
  })

  it('takes one thread for 64 calls, and none from others’ work', async () => {
    using guest = runningGuest()
    const [vcpu] = guest.vcpus
    await wait(100)
    await readFile('/proc/self/stat')
    const before = threads()
    const calls = Array.from({ length: 64 }, async () => vcpu?.getAsync('TB_OFFSET'))
    await wait(200)
    expect(threads()).toBe(before + 1)
    // libuv's threads are four: with a call on each, this would wait for the guest.
    expect(await readFile('/proc/self/stat', 'utf8')).toMatch(/^\d+ /)
    guest.stop()
    expect(new Set(await Promise.all(calls))).toEqual(new Set([0n]))
  })

  it('is written once it is stopped, and by no call that was aborted before its turn', async () => {
    using guest = runningGuest()
    const [vcpu] = guest.vcpus
    await wait(100)
    const controller = new AbortController()
    const first = vcpu?.setAsync('DAR', 1n)
    const second = vcpu?.setAsync('DAR', 2n, { signal: controller.signal })
    await wait(100)
    controller.abort()
    await expect(second).rejects.toMatchObject({ name: 'AbortError' })
    guest.stop()
    await first
    expect(vcpu?.get('DAR')).toBe(1n)
  })

  it('may be closed with a call in flight: its descriptor stays until that ends', async () => {
    using guest = runningGuest()
    await wait(100)
    // An owner of its own: the guest's are borrowed.
    const borrowed = host.vcpu(guest.vcpus[0]?.fd ?? -1, 0)
    const call = borrowed.getAsync('TB_OFFSET')
    await wait(100)
    borrowed.close()
    guest.stop()
    expect(await call).toBe(0n)
  })
})

/** A signal, so long after the process printed something; SIGKILL follows as long after that. */
interface Kill {
  killAfterMs?: number
  signal?: NodeJS.Signals
  when?: string
}

describe('a process with a vCPU that runs', () => {
  /** How it ended, and what it printed until then. */
  async function run(
    mode: string,
    { killAfterMs, signal: sent = 'SIGTERM', when = 'waiting' }: Kill = {},
  ): Promise<string> {
    const program = path.join(import.meta.dirname, 'child-running.ts')
    const child = spawn(process.execPath, ['--import', 'tsx', program, mode], {
      env: { ...process.env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
      if (text.includes(when) && killAfterMs !== undefined) {
        setTimeout(() => child.kill(sent), killAfterMs)
        setTimeout(() => child.kill('SIGKILL'), 2 * killAfterMs)
      }
    })
    const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
    return `${printed}${signal ?? status ?? ''}`
  }

  it('is blocked by a synchronous get: no timer fires, and SIGTERM does nothing', async () => {
    expect(await run('get', { killAfterMs: 5_000 })).toBe('waiting\nSIGKILL')
  })

  it('goes on during getAsync', async () => {
    expect(await run('getAsync', { killAfterMs: 2_000 })).toBe('waiting\na timer fired\nSIGTERM')
  })

  it('ends by SIGINT during getAsync', async () => {
    expect(await run('getAsync', { killAfterMs: 2_000, signal: 'SIGINT' })).toBe(
      'waiting\na timer fired\nSIGINT',
    )
  })

  it('can exit with a call in flight', async () => {
    expect(await run('exit')).toBe('waiting\n0')
  })

  it('can end by an uncaught exception with a call in flight', async () => {
    expect(await run('throw')).toBe('waiting\n7')
  })

  it('can terminate a worker with a call in flight, and use the vCPU afterwards', async () => {
    expect(await run('worker')).toBe('waiting\nterminated\n0\n0')
  })
  it.each(['get', 'read'])(
    'goes on while it terminates a worker in a synchronous %s, which ends when the guest stops',
    async (call) => {
      expect(await run(`worker ${call}`)).toBe('waiting\nstopping the guest\nterminated\n0\n0')
    },
  )

  it('cannot exit, but by a signal, as long as a worker’s synchronous get waits', async () => {
    expect(await run('worker get, exit', { killAfterMs: 3_000, when: 'exiting' })).toBe(
      'waiting\nexiting\nSIGTERM',
    )
  })
})
