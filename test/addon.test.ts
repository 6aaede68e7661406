import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OneRegBatch } from '../lib/batch.ts'
import { openHost } from '../lib/host.ts'
import type { Host } from '../lib/host.ts'
import { loadAddon } from '../lib/native.ts'
import type { Addon } from '../lib/native.ts'
import type { Vcpu } from '../lib/vcpu.ts'
import { errorOf } from './support/errorOf.ts'
import {
  addonLacks,
  describeUnless,
  itUnless,
  otherMachineLacks,
  x86KvmLacks,
} from './support/lacking.ts'
import {
  detached,
  expectOutOfRange,
  expectRefusal,
  expectWrongType,
  NO_FD,
  signatures,
} from './support/wrongArguments.ts'
import type { Kind } from './support/wrongArguments.ts'

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

  function named(name: string): Call {
    return Reflect.get(addon, name) as Call
  }

  it('exports the calls of the kernel and nothing else', () => {
    // `bindings` adds where it found it.
    const calls = Object.keys(addon).filter((name) => typeof named(name) === 'function')
    expect(calls.sort()).toEqual([
      'checkExtension',
      'close',
      'createVcpu',
      'createVm',
      'getOneReg',
      'getOneRegs',
      'open',
      'sample',
      'setOneReg',
      'setOneRegs',
      'timebase',
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
      const results = new Int32Array(1)
      const all = [Int32Array.of(fd), BigUint64Array.of(TB_OFFSET), new Uint8Array(16)] as const
      expect(addon[name](...all, results)).toBe(0)
      return results[0] ?? 0
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
    const all: Record<string, readonly Kind[]> = { ...signatures, timebase: [] }
    const rows = Object.entries(signatures).flatMap(([name, kinds]) =>
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

  describe.each(['getOneRegs', 'setOneRegs'] as const)('%s', (name) => {
    const right = (): unknown[] => [
      new Int32Array(2).fill(NO_FD),
      new BigUint64Array(2).fill(TB_OFFSET),
      new Uint8Array(32),
      new Int32Array(2),
    ]
    function withArgument(index: number, value: unknown): unknown[] {
      const given = right()
      given[index] = value
      return given
    }

    const noArrays = [undefined, null, 2, 2n, '', [NO_FD, NO_FD], {}, { length: 2 }]
    const noViews = [new ArrayBuffer(8), new DataView(new ArrayBuffer(8))]
    it.each<[string, number, unknown[]]>([
      ['fds', 0, [new Uint32Array(2), new Uint8Array(8), new BigInt64Array(1)]],
      ['ids', 1, [new BigInt64Array(2), new Float64Array(2), new Uint8Array(16), [1n, 2n]]],
      ['values', 2, [new Int8Array(32), new Uint8ClampedArray(32), new Uint32Array(8)]],
      ['results', 3, [new Uint32Array(2), new Float32Array(2), new Uint8Array(8)]],
    ])('throws for %s that are no typed array of the right kind', (_what, index, otherKinds) => {
      for (const value of [...noArrays, ...noViews, ...otherKinds]) {
        expectWrongType(
          errorOf(() => named(name)(...withArgument(index, value))),
          value,
        )
      }
    })

    it.each<[string, number, unknown[]]>([
      ['fds', 0, [new Int32Array(0), new Int32Array(1), new Int32Array(3)]],
      ['ids', 1, [new BigUint64Array(0), new BigUint64Array(1), new BigUint64Array(3)]],
      ['values', 2, [0, 2, 16, 31, 33, 48].map((length) => new Uint8Array(length))],
      ['results', 3, [new Int32Array(0), new Int32Array(1), new Int32Array(3)]],
    ])('throws for %s of another length than the others have', (_what, index, lengths) => {
      for (const value of lengths) {
        expectOutOfRange(
          errorOf(() => named(name)(...withArgument(index, value))),
          value,
        )
      }
    })

    it('throws for an array whose memory has gone elsewhere', () => {
      right().forEach((array, index) => {
        const gone = detached(array as Int32Array<ArrayBuffer>)
        expectOutOfRange(
          errorOf(() => named(name)(...withArgument(index, gone))),
          index,
        )
      })
    })

    it('throws for too few arguments, and for too many', () => {
      for (let count = 0; count < 4; count++) {
        expectWrongType(errorOf(() => named(name)(...right().slice(0, count))))
      }
      expectWrongType(errorOf(() => named(name)(...right(), new Int32Array(2))))
    })

    it.each(['0x105000000000009c', '0x106000000000009c', '0x10f000000000009c'])(
      'throws for the id %s, of more than 128 bits, wherever it is',
      (hex) => {
        for (const index of [0, 1]) {
          const results = new Int32Array(2).fill(77)
          const ids = new BigUint64Array(2).fill(TB_OFFSET)
          ids[index] = BigInt(hex)
          const fds = new Int32Array(2).fill(devNull)
          expectOutOfRange(errorOf(() => addon[name](fds, ids, new Uint8Array(32), results)))
          // Nothing was done.
          expect([...results]).toEqual([77, 77])
        }
      },
    )

    it('gives each entry its own result', () => {
      const results = new Int32Array(4).fill(77)
      const fds = Int32Array.of(devNull, closed, -1, devNull)
      const ids = BigUint64Array.of(TB_OFFSET, TB_OFFSET, VR0, 0n)
      expect(addon[name](fds, ids, new Uint8Array(64), results)).toBe(0)
      expect([...results]).toEqual([ENOTTY, EBADF, EBADF, ENOTTY])
    })

    it('may be empty', () => {
      const [fds, ids] = [new Int32Array(0), new BigUint64Array(0)]
      expect(addon[name](fds, ids, new Uint8Array(0), new Int32Array(0))).toBe(0)
    })

    it('may be all of it detached, which is empty too', () => {
      const given = right().map((array) => detached(array as Int32Array<ArrayBuffer>))
      expect(named(name)(...given)).toBe(0)
    })

    it('does not overrun where results lie over ids that are still to come', () => {
      const memory = new ArrayBuffer(65536)
      new Uint8Array(memory).fill(0xa5)
      const ids = new BigUint64Array(memory, 8, 2).fill(TB_OFFSET)
      // The first result makes the upper half of the second id: a size of 32768 bytes.
      const results = new Int32Array(memory, 20, 2)
      const values = new Uint8Array(memory, 64, 32)
      expect(addon[name](Int32Array.of(devNull, devNull), ids, values, results)).toBe(0)
      expect([...results]).toEqual([ENOTTY, EINVAL])
      const touched = [...new Uint8Array(memory).entries()].filter(([, byte]) => byte !== 0xa5)
      expect(touched.every(([at]) => at >= 8 && at < 28)).toBe(true)
    })

    it('takes arrays at odd offsets and in one memory', () => {
      const memory = new ArrayBuffer(4096)
      const bytes = new Uint8Array(memory).fill(0xa5)
      const fds = new Int32Array(memory, 4, 2).fill(devNull)
      const ids = new BigUint64Array(memory, 24, 2).fill(TB_OFFSET)
      const results = new Int32Array(memory, 44, 2)
      const values = new Uint8Array(memory, 101, 32)
      expect(addon[name](fds, ids, values, results)).toBe(0)
      expect([...results]).toEqual([ENOTTY, ENOTTY])
      expect(bytes.subarray(52).every((byte) => byte === 0xa5)).toBe(true)
    })

    it('takes arrays over shared memory', () => {
      const results = new Int32Array(new SharedArrayBuffer(8))
      const fds = new Int32Array(new SharedArrayBuffer(8)).fill(devNull)
      const ids = new BigUint64Array(new SharedArrayBuffer(16)).fill(TB_OFFSET)
      const values = new Uint8Array(new SharedArrayBuffer(32))
      expect(addon[name](fds, ids, values, results)).toBe(0)
      expect([...results]).toEqual([ENOTTY, ENOTTY])
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

  describe('sample', () => {
    it('tells the time of day, and how closely the counter belongs to it', () => {
      const words = new BigUint64Array(3)
      const before = Date.now()
      expect(addon.sample(words)).toBe(0)
      const after = Date.now()
      const [counter = 0n, timeOfDayNs = 0n, halfWidth = 0n] = words
      expect(counter).toBeGreaterThan(0n)
      const timeOfDayMs = Number(timeOfDayNs / 1_000_000n)
      expect(timeOfDayMs).toBeGreaterThanOrEqual(before)
      expect(timeOfDayMs).toBeLessThanOrEqual(after)
      // A second, in ns or in ticks of POWER's 512 MHz.
      expect(halfWidth).toBeLessThan(512_000_000n)
    })

    it('counts on from one to the next', () => {
      const [first, second] = [new BigUint64Array(3), new BigUint64Array(3)]
      addon.sample(first)
      for (let tries = 0; tries < 1_000_000 && (second[0] ?? 0n) <= (first[0] ?? 0n); tries++) {
        addon.sample(second)
      }
      expect(second[0]).toBeGreaterThan(first[0] ?? 0n)
    })

    it('writes three words into memory of any kind, and no more', () => {
      const memory = new BigUint64Array(new SharedArrayBuffer(40)).fill(0xa5n)
      expect(addon.sample(memory.subarray(1, 4))).toBe(0)
      expect([memory[0], memory[4]]).toEqual([0xa5n, 0xa5n])
      expect(memory[1]).not.toBe(0xa5n)
      expect(memory[2]).not.toBe(0xa5n)
    })
  })

  itUnless(otherMachineLacks, 'has no timebase: ENOSYS', () => {
    expect(addon.timebase()).toBe(-38n)
  })

  describe('worker threads', () => {
    // In a worker of Node 20, `--import tsx` does nothing.
    const worker = JSON.stringify(new URL('./support/addonWorker.ts', import.meta.url))
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
      const workers = [start(2_000), start(2_000)]
      expect(await Promise.all(workers.map(lastMessage))).toEqual([
        [`true ${ENOTTY} true 0 0 true`],
        [`true ${ENOTTY} true 0 0 true`],
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
    expect(host.kernel.setOneRegs(batch)).toBe(0)
    expect([...batch.results]).toEqual([0, EINVAL, ENOTTY, EBADF, 0])
    expect(word(vcpu.getRaw(PAT))).toBe(0x0606_0606_0606_0600n)
    expect(word(other.getRaw(PAT))).toBe(0x0606_0606_0606_0604n)

    batch.values.fill(0xa5)
    expect(host.kernel.getOneRegs(batch)).toBe(0)
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
