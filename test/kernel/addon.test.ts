import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NO_REGISTER, OneRegBatch } from '../../lib/kernel/batch.ts'
import { openHost } from '../../lib/kvm/host.ts'
import type { Host } from '../../lib/kvm/host.ts'
import { loadAddon } from '../../lib/kernel/addon.ts'
import type { Addon, BoundCalls } from '../../lib/kernel/addon.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { cases } from '../support/emulated.ts'
import { errorOf } from '../support/error-of.ts'
import {
  addonLacks,
  describeUnless,
  itUnless,
  otherMachineLacks,
  x86KvmLacks,
} from '../support/lacking.ts'
import {
  batchMemory,
  clockWords,
  expectOutOfRange,
  expectRefusal,
  expectWrongType,
  NO_FD,
  signatures,
} from '../support/wrong-arguments.ts'
import type { Kind } from '../support/wrong-arguments.ts'

const TB_OFFSET = 0x1030_0000_0000_009cn
const VR0 = 0x1040_0000_0000_0040n
const EBADF = -9
const EINVAL = -22
const ENOTTY = -25

// As Linux has them on x86 and POWER.
const O_ACCMODE = 3
const O_RDWR = 2
const O_CLOEXEC = 0o2000000

type Call = (...given: unknown[]) => unknown

describeUnless(addonLacks, 'the addon', () => {
  let addon: Addon
  let devNull: number
  let closed: number

  beforeEach(() => {
    addon = loadAddon()
    closed = addon.open('/dev/null')
    devNull = addon.open('/dev/null')
    addon.close(closed)
  })

  afterEach(() => {
    addon.close(devNull)
  })

  function batchOf(entries: readonly (readonly [fd: number, id: bigint])[]): OneRegBatch {
    const batch = new OneRegBatch(entries.length)
    batch.fds.set(entries.map(([fd]) => fd))
    batch.ids.set(entries.map(([, id]) => id))
    return batch
  }

  /** The addon's calls, and what they are made with. */
  function bound(): BoundCalls & { words: BigUint64Array; select: (batch: OneRegBatch) => void } {
    const words = new BigUint64Array(new SharedArrayBuffer(32))
    const select = (batch: OneRegBatch): void => {
      batch.bound ??= addon.bindBatch(batch.memory)
      words[3] = BigInt(batch.bound.index)
    }
    return { ...addon.bindCalls(words), words, select }
  }

  function named(name: string): Call {
    return Reflect.get(addon, name) as Call
  }

  it('exports the calls of the kernel and nothing else', () => {
    // `bindings` adds where it found it.
    const calls = Object.keys(addon).filter((name) => typeof named(name) === 'function')
    expect(calls.sort()).toEqual([
      'bindBatch',
      'bindCalls',
      'checkExtension',
      'close',
      'createVcpu',
      'createVm',
      'fileId',
      'getOneReg',
      'getOneRegsAsync',
      'open',
      'setOneReg',
      'setOneRegsAsync',
    ])
  })

  it('is the same on every load', () => {
    expect(loadAddon()).toBe(addon)
  })

  describe('a file descriptor', () => {
    it.each<[string, (fd: number) => number]>([
      ['checkExtension', (fd) => addon.checkExtension(fd, 70)],
      ['createVm', (fd) => addon.createVm(fd, 0)],
      ['createVcpu', (fd) => addon.createVcpu(fd, 0)],
      ['getOneReg', (fd) => addon.getOneReg(fd, TB_OFFSET, new Uint8Array(8))],
      ['setOneReg', (fd) => addon.setOneReg(fd, TB_OFFSET, new Uint8Array(8))],
      ['getOneRegs', (fd) => inBatch('getOneRegs', fd)],
      ['setOneRegs', (fd) => inBatch('setOneRegs', fd)],
    ])('makes %s give EBADF if it is closed and ENOTTY if it is /dev/null’s', (_name, call) => {
      expect(call(closed)).toBe(EBADF)
      expect(call(NO_FD)).toBe(EBADF)
      expect(call(devNull)).toBe(ENOTTY)
    })

    function inBatch(name: 'getOneRegs' | 'setOneRegs', fd: number): number {
      const batch = batchOf([[fd, TB_OFFSET]])
      const { select, [name]: call } = bound()
      select(batch)
      expect(call()).toBe(batch.results[0])
      return batch.results[0] ?? 0
    }

    it('makes close give EBADF if it is closed', () => {
      expect(addon.close(closed)).toBe(EBADF)
      expect(addon.close(NO_FD)).toBe(EBADF)
    })

    it('is opened for reading and writing, close-on-exec, and is closed again', () => {
      const before = readdirSync('/proc/self/fd').length
      const fd = addon.open('/dev/null')
      const [, flags = ''] =
        /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? []
      expect(parseInt(flags, 8) & (O_ACCMODE | O_CLOEXEC)).toBe(O_RDWR | O_CLOEXEC)
      expect(addon.close(fd)).toBe(0)
      expect(readdirSync('/proc/self/fd')).toHaveLength(before)
    })

    it('is -errno for a path that cannot be opened', () => {
      expect(addon.open('/nonexistent')).toBe(-2)
      expect(addon.open('')).toBe(-2)
      expect(addon.open('/dev/null/x')).toBe(-20)
      expect(addon.open('x'.repeat(5000))).toBe(-36)
    })
  })

  describe('wrong arguments', () => {
    const all: Record<string, readonly Kind[]> = {
      ...signatures,
      bindBatch: [batchMemory],
      bindCalls: [clockWords],
      getOneRegsAsync: [batchMemory],
      setOneRegsAsync: [batchMemory],
    }
    const rows = Object.entries(all).flatMap(([name, kinds]) =>
      kinds.map((_, index): [string, number, readonly Kind[]] => [name, index + 1, kinds]),
    )

    it.each(rows)('make %s throw: argument %d', (name, number, kinds) => {
      expectRefusal(named(name), kinds, number - 1)
    })

    it.each(Object.entries(all))('make %s throw: too few, or too many', (name, kinds) => {
      const given = kinds.map(({ right }) => right())
      for (let count = 0; count < given.length; count++) {
        expectWrongType(errorOf(() => named(name)(...given.slice(0, count))))
      }
      expectWrongType(errorOf(() => named(name)(...given, undefined)))
      expectWrongType(errorOf(() => named(name)(...given, 0, 0)))
    })

    it.each([
      ['0x100000000000009c', 1],
      ['0x102000000000009c', 4],
      ['0x104000000000009c', 16],
      ['0x105000000000009c', 32],
      ['0xffffffffffffffff', 32768],
    ])('are more or fewer bytes than the id %s says, which are %d', (hex, size) => {
      const id = BigInt(hex)
      for (const length of [0, size - 1, size + 1, 2 * size]) {
        for (const name of ['getOneReg', 'setOneReg'] as const) {
          expectOutOfRange(
            errorOf(() => addon[name](devNull, id, new Uint8Array(length))),
            length,
          )
        }
      }
      expect(addon.getOneReg(devNull, id, new Uint8Array(size))).toBe(ENOTTY)
      expect(addon.setOneReg(devNull, id, new Uint8Array(size))).toBe(ENOTTY)
    })
  })

  describe.each(['getOneRegs', 'setOneRegs'] as const)('%s of a bound batch', (name) => {
    it('gives each entry its own result, and returns the first that failed', () => {
      const batch = batchOf([
        [devNull, TB_OFFSET],
        [closed, TB_OFFSET],
        [-1, VR0],
        [devNull, 0n],
        [devNull, 0x1050_0000_0000_009cn],
        [devNull, NO_REGISTER],
      ])
      const { select, [name]: call } = bound()
      select(batch)
      expect(call()).toBe(ENOTTY)
      expect([...batch.results]).toEqual([ENOTTY, EBADF, EBADF, ENOTTY, EINVAL, EINVAL])
      expect(batch.values.every((byte) => byte === 0)).toBe(true)
    })

    it('takes what is in the memory when it is called, as often as it is', () => {
      const batch = batchOf([[closed, TB_OFFSET]])
      const { select, [name]: call } = bound()
      select(batch)
      expect(call()).toBe(EBADF)
      batch.fds[0] = devNull
      expect(call()).toBe(ENOTTY)
      batch.ids[0] = 0x1050_0000_0000_009cn
      expect(call()).toBe(EINVAL)
    })

    it('is for the batch that was selected last', () => {
      const batches = [closed, devNull, closed].map((fd) => batchOf([[fd, TB_OFFSET]]))
      const { select, [name]: call } = bound()
      const results = [0, 1, 2, 1, 0].map((index) => {
        select(batches[index] ?? new OneRegBatch(0))
        return call()
      })
      expect(results).toEqual([EBADF, ENOTTY, EBADF, ENOTTY, EBADF])
      expect(batches.map(({ results: [result] }) => result)).toEqual([EBADF, ENOTTY, EBADF])
    })

    it('does nothing for an index that no batch has', () => {
      const { words, [name]: call } = bound()
      for (const index of [2n ** 20n, 2n ** 32n, 2n ** 60n, 2n ** 63n, 2n ** 64n - 1n]) {
        words[3] = index
        expect(call()).toBeUndefined()
      }
    })

    it('takes no arguments and no this', () => {
      const batch = batchOf([[devNull, TB_OFFSET]])
      const { select, [name]: call } = bound()
      select(batch)
      expect(Reflect.apply(call as Call, 5, [1, 2n, {}])).toBe(ENOTTY)
    })

    it('may be of no entries', () => {
      const { select, [name]: call } = bound()
      select(new OneRegBatch(0))
      expect(call()).toBeUndefined()
    })

    it('touches nothing beside its memory', () => {
      const shared = new SharedArrayBuffer(256)
      // It says that many more entries are used than there is room for.
      const all = new Uint8Array(shared).fill(0xa5)
      const { words, [name]: call } = bound()
      const handle = addon.bindBatch(all.subarray(64, 136))
      words[3] = BigInt(handle.index)
      call()
      const touched = [...all.entries()].filter(([, byte]) => byte !== 0xa5).map(([at]) => at)
      // The two results.
      expect(touched.every((at) => at >= 120 && at < 128)).toBe(true)
      expect(touched.length).toBeGreaterThan(0)
    })

    it('leaves the entries alone that are not used', () => {
      const { select, [name]: call } = bound()
      for (const [room, used] of [
        [4, 2],
        [4, 0],
        [1, 0],
      ] as const) {
        const batch = batchOf(Array.from({ length: room }, () => [devNull, TB_OFFSET] as const))
        batch.results.fill(77)
        batch.used = used
        select(batch)
        expect(call()).toBe(used === 0 ? undefined : ENOTTY)
        const expected = Array.from({ length: room }, (_, index) => (index < used ? ENOTTY : 77))
        expect([...batch.results]).toEqual(expected)
      }
    })
  })

  describe('a bound batch', () => {
    const entry = (): OneRegBatch => batchOf([[devNull, TB_OFFSET]])

    async function collect(isDone: () => boolean): Promise<void> {
      setFlagsFromString('--expose-gc')
      const gc = runInNewContext('gc') as () => void
      for (let tries = 0; tries < 20 && !isDone(); tries++) {
        await nextTurn()
        gc()
      }
    }

    it('keeps its memory when nothing else refers to it', async () => {
      const { words, getOneRegs } = bound()
      const bind = (): { handle: { index: number }; gone: WeakRef<OneRegBatch> } => {
        const batch = entry()
        return { handle: addon.bindBatch(batch.memory), gone: new WeakRef(batch) }
      }
      const { handle, gone } = bind()
      await collect(() => gone.deref() === undefined)
      expect(gone.deref()).toBeUndefined()
      words[3] = BigInt(handle.index)
      expect(getOneRegs()).toBe(ENOTTY)
    })

    it('is let go of with its handle, and another may have its index', async () => {
      const { words, getOneRegs } = bound()
      const seen = new Set<number>()
      const bindOne = (): number => addon.bindBatch(entry().memory).index
      let again: number | undefined
      await collect(() => {
        const index = bindOne()
        if (seen.has(index)) again = index
        seen.add(index)
        return again !== undefined
      })
      expect(again).toBeDefined()
      words[3] = BigInt(again ?? 0)
      await collect(() => getOneRegs() === undefined)
      expect(getOneRegs()).toBeUndefined()
    })
  })

  describe.each(['getOneRegsAsync', 'setOneRegsAsync'] as const)('%s', (name) => {
    it('resolves to 0, with a result for each entry', async () => {
      const batch = batchOf([
        [devNull, TB_OFFSET],
        [closed, TB_OFFSET],
        [devNull, 0x1050_0000_0000_009cn],
      ])
      expect(await addon[name](batch.memory)).toBe(0)
      expect([...batch.results]).toEqual([ENOTTY, EBADF, EINVAL])
    })

    it('takes the entries at once, and brings results only when it resolves', async () => {
      const batch = batchOf([[devNull, TB_OFFSET]])
      batch.results.fill(77)
      const call = addon[name](batch.memory)
      batch.fds.fill(-1)
      batch.ids.fill(0n)
      for (const end = Date.now() + 20; Date.now() < end;);
      expect(batch.results[0]).toBe(77)
      await call
      expect(batch.results[0]).toBe(ENOTTY)
      expect([batch.fds[0], batch.ids[0]]).toEqual([-1, 0n])
    })

    it('may be called many times at once', async () => {
      const batches = Array.from({ length: 200 }, () => batchOf([[devNull, TB_OFFSET]]))
      const calls = batches.map(({ memory }) => addon[name](memory))
      expect(new Set(await Promise.all(calls))).toEqual(new Set([0]))
      expect(batches.every(({ results }) => results[0] === ENOTTY)).toBe(true)
    })
  })

  describe('the bytes of a register', () => {
    it('may be a Buffer, a subclass, or a part of a larger array at an odd offset', () => {
      class Bytes extends Uint8Array {}
      const part = new Uint8Array(new ArrayBuffer(64), 3, 8)
      for (const bytes of [
        Buffer.alloc(8),
        new Bytes(8),
        part,
        new Uint8Array(32).subarray(7, 15),
      ]) {
        expect(addon.getOneReg(devNull, TB_OFFSET, bytes)).toBe(ENOTTY)
        expect(addon.setOneReg(devNull, TB_OFFSET, bytes)).toBe(ENOTTY)
      }
    })

    it('may be shared memory', () => {
      const bytes = new Uint8Array(new SharedArrayBuffer(8))
      expect(addon.getOneReg(devNull, TB_OFFSET, bytes)).toBe(ENOTTY)
      expect(addon.setOneReg(devNull, TB_OFFSET, bytes)).toBe(ENOTTY)
    })

    it('cannot lie about their length', () => {
      class Liar extends Uint8Array {
        override get length(): number {
          return 8
        }
        override get byteLength(): number {
          return 8
        }
      }
      expectOutOfRange(errorOf(() => addon.getOneReg(devNull, TB_OFFSET, new Liar(1))))
      expectOutOfRange(errorOf(() => addon.setOneReg(devNull, TB_OFFSET, new Liar(9))))
    })

    it('are left alone by a call that fails', () => {
      const bytes = new Uint8Array(8).fill(0xa5)
      addon.getOneReg(devNull, TB_OFFSET, bytes)
      expect([...bytes]).toEqual(new Array(8).fill(0xa5))
    })
  })

  describe('a bound clock', () => {
    it('tells the time of day, and how closely the counter belongs to it', () => {
      const { words, sample } = bound()
      const before = Date.now()
      expect(sample()).toBeUndefined()
      const after = Date.now()
      const [counter = 0n, timeOfDayNs = 0n, halfWidth = 0n] = words
      expect(counter).toBeGreaterThan(0n)
      const timeOfDayMs = Number(timeOfDayNs / 1_000_000n)
      expect(timeOfDayMs).toBeGreaterThanOrEqual(before)
      expect(timeOfDayMs).toBeLessThanOrEqual(after)
      // A second, in ns or in ticks of POWER's 512 MHz.
      expect(halfWidth).toBeLessThan(512_000_000n)
    })

    it('tells the state of the wall clock, and its greatest error in µs', () => {
      const { words, clockState } = bound()
      words[0] = 2n ** 64n - 1n
      expect([0, 1, 2, 3, 4, 5]).toContain(clockState() ?? 0)
      expect(words[0]).toBeLessThanOrEqual(16_000_000n)
    })

    it('counts on from one sample to the next', () => {
      const { words, sample } = bound()
      sample()
      const [first = 0n] = words
      for (let tries = 0; tries < 1_000_000 && (words[0] ?? 0n) <= first; tries++) sample()
      expect(words[0]).toBeGreaterThan(first)
    })

    itUnless(otherMachineLacks, 'has no timebase: ENOSYS', () => {
      expect(bound().timebase()).toBe(-38)
    })
  })

  describe('worker threads', () => {
    // In a worker of Node 20, `--import tsx` does nothing.
    const worker = JSON.stringify(new URL('../support/addon-worker.ts', import.meta.url))
    const code = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${worker}, ${worker}))`

    function start(rounds: number): Worker {
      return new Worker(code, { eval: true, workerData: { rounds } })
    }

    async function lastMessage(worker: Worker): Promise<unknown> {
      let last: unknown
      worker.on('message', (message: unknown) => {
        last = message
      })
      const [status] = (await once(worker, 'exit')) as [number]
      expect(status).toBe(0)
      return last
    }

    it('may use it two at a time', async () => {
      const workers = [start(cases(2_000)), start(cases(2_000))]
      expect(await Promise.all(workers.map(lastMessage))).toEqual([
        [`true ${ENOTTY} true 0 true`],
        [`true ${ENOTTY} true 0 true`],
      ])
    })

    it('may be ended in the middle of it', async () => {
      const worker = start(Number.MAX_SAFE_INTEGER)
      await once(worker, 'message')
      expect(await worker.terminate()).toBe(1)
      expect(addon.checkExtension(devNull, 70)).toBe(ENOTTY)
    })
  })
})

describeUnless(x86KvmLacks, 'the real KVM of an x86', () => {
  /** The guest's timestamp counter, as KVM on x86 calls it. */
  const TSC = 0x2030_0002_0000_0010n
  /** IA32_PAT: plain memory to KVM, which keeps what is written. */
  const PAT = 0x2030_0002_0000_0277n
  let host: Host
  let vcpu: Vcpu

  beforeEach(() => {
    host = openHost({ backend: 'kvm' })
    vcpu = host.createVm().createVcpu(0)
  })

  afterEach(() => {
    host.close()
  })

  function word(bytes: Uint8Array): bigint {
    return Buffer.from(bytes).readBigUInt64LE()
  }

  function bytesOf(value: bigint): Uint8Array {
    return new Uint8Array(BigUint64Array.of(value).buffer)
  }

  it('reads and writes the timestamp counter by getRaw and setRaw', () => {
    const before = word(vcpu.getRaw(TSC))
    vcpu.setRaw(TSC, bytesOf(before))
    const after = word(vcpu.getRaw(TSC))
    // It runs.
    expect(after).toBeGreaterThanOrEqual(before)
    expect(word(vcpu.getRaw(TSC))).toBeGreaterThan(after)
  })

  it('keeps what setRaw writes', () => {
    for (const value of [0x0606_0606_0606_0606n, 0x0007_0406_0007_0406n]) {
      vcpu.setRaw(PAT, bytesOf(value))
      expect(word(vcpu.getRaw(PAT))).toBe(value)
    }
  })

  it('reads and writes in a batch, each entry with its own result', () => {
    const vm = host.createVm()
    const other = vm.createVcpu(1)
    const batch = new OneRegBatch(5)
    batch.fds.set([vcpu.fd, host.fd, vm.fd, NO_FD, other.fd])
    batch.ids.fill(PAT)
    batch.fds.forEach((_, index) => {
      batch.set64(index, 0x0606_0606_0606_0600n + BigInt(index))
    })
    batch.set64(4, 0x0606_0606_0606_0604n)
    expect(host.kernel.setOneRegs(batch)).toBe(EINVAL)
    expect([...batch.results]).toEqual([0, EINVAL, ENOTTY, EBADF, 0])
    expect(word(vcpu.getRaw(PAT))).toBe(0x0606_0606_0606_0600n)
    expect(word(other.getRaw(PAT))).toBe(0x0606_0606_0606_0604n)

    batch.values.fill(0xa5)
    expect(host.kernel.getOneRegs(batch)).toBe(EINVAL)
    expect([...batch.results]).toEqual([0, EINVAL, ENOTTY, EBADF, 0])
    expect([0, 4].map((index) => batch.get64(index))).toEqual([
      0x0606_0606_0606_0600n,
      0x0606_0606_0606_0604n,
    ])
    // The kernel copied 8 bytes for each, and nothing for those that failed.
    expect(batch.values.subarray(8, 64).every((byte) => byte === 0xa5)).toBe(true)
    expect(batch.values.subarray(72).every((byte) => byte === 0xa5)).toBe(true)
  })

  it('reads the timestamp counter in a batch', () => {
    const batch = new OneRegBatch(2)
    batch.fds.fill(vcpu.fd)
    batch.ids.fill(TSC)
    host.kernel.getOneRegs(batch)
    expect([...batch.results]).toEqual([0, 0])
    expect(batch.get64(1)).toBeGreaterThan(batch.get64(0))
  })

  it('copies 8 bytes to where they belong, at an odd offset and in shared memory too', () => {
    vcpu.setRaw(PAT, bytesOf(0x0606_0606_0606_0600n))
    for (const memory of [new ArrayBuffer(64), new SharedArrayBuffer(64)]) {
      const all = new Uint8Array(memory).fill(0xa5)
      const value = all.subarray(13, 21)
      expect(host.kernel.getOneReg(vcpu.fd, PAT, value)).toBe(0)
      expect(word(value)).toBe(0x0606_0606_0606_0600n)
      expect(all.filter((byte) => byte === 0xa5)).toHaveLength(64 - 8)
      expect(host.kernel.setOneReg(vcpu.fd, PAT, value)).toBe(0)
    }
  })

  it('knows no register of POWER', () => {
    expect(vcpu.has('TB_OFFSET')).toBe(false)
    expect(() => vcpu.get('TB_OFFSET')).toThrow(
      expect.objectContaining({ code: 'EINVAL', register: 'TB_OFFSET', vcpu: 0 }),
    )
  })
})
