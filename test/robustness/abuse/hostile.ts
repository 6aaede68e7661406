import { runInNewContext, runInThisContext } from 'node:vm'
import { emulated } from '../../support/emulated.ts'
import { sanitized } from '../../support/sanitized.ts'
import { detached } from '../../support/wrong-arguments.ts'

/** Makes a value that a caller might pass, a new one for each call. */
export type Make = () => unknown

/** The names of traps that were run: JavaScript that a call must not run. */
export const ran: string[] = []

function trap(what: string): never {
  ran.push(what)
  throw new Error(`${what} was run`)
}

// If a value were taken for a file descriptor by mistake, it would be one that no file has.
const N = 2_000_000_000

/** Values that are like numbers, strings, bigints or typed arrays, but are not. */
export const impostors: Readonly<Record<string, Make>> = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  'a symbol': () => Symbol('fd'),
  'a number in a string': () => String(N),
  'a boxed number': () => Object(N) as unknown,
  'a boxed bigint': () => Object(BigInt(N)) as unknown,
  'a boxed string': () => Object('/dev/null') as unknown,
  'an array of one number': () => [N],
  'a function': () => () => N,
  'a class': () => Error,
  'a date': () => new Date(N),
  'a promise': () => Promise.resolve(N),
  'an object without prototype': () => Object.create(null) as unknown,
  'the global object': () => globalThis,
  'valueOf that throws': () => ({ valueOf: () => trap('valueOf') }),
  'toString that throws': () => ({ toString: () => trap('toString') }),
  'Symbol.toPrimitive that throws': () => ({ [Symbol.toPrimitive]: () => trap('toPrimitive') }),
  'getters that throw': () => ({
    get length() {
      return trap('length')
    },
    get buffer() {
      return trap('buffer')
    },
    get byteLength() {
      return trap('byteLength')
    },
  }),
  'a proxy of bytes': () => proxy(new Uint8Array(8)),
  'a proxy of a batch': () => proxy(new Uint8Array(new SharedArrayBuffer(72))),
  'a proxy of nothing': () => proxy({}),
  'a revoked proxy': () => {
    const { proxy, revoke } = Proxy.revocable(new Uint8Array(8), {})
    revoke()
    return proxy
  },
  'a prototype of bytes': () => Object.create(Uint8Array.prototype) as unknown,
  'the prototype of bytes': () => Uint8Array.prototype,
  'an array with the prototype of bytes': () =>
    Object.setPrototypeOf([], Uint8Array.prototype) as unknown,
  'an ArrayBuffer': () => new ArrayBuffer(72),
  'a SharedArrayBuffer': () => new SharedArrayBuffer(72),
  'a DataView': () => new DataView(new ArrayBuffer(8)),
  'a DataView of nothing': () => detached(new DataView(new ArrayBuffer(8))),
  'arguments of a function': () =>
    runInThisContext('(function () { return arguments })(2_000_000_000)') as unknown,
  'an array of another realm': () => runInNewContext('[2_000_000_000]') as unknown,
  'a boxed string of another realm': () => runInNewContext('Object("/dev/null")') as unknown,
}

function proxy(target: object): unknown {
  const traps = ['get', 'has', 'getPrototypeOf', 'ownKeys', 'getOwnPropertyDescriptor', 'set']
  return new Proxy(target, Object.fromEntries(traps.map((name) => [name, () => trap(name)])))
}

export const numbers: Readonly<Record<string, Make>> = Object.fromEntries(
  [
    ...[N, N + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + N, 2 ** 53 + N, -1, -N, -(2 ** 31), -(2 ** 63)],
    ...[N + 0.5, -0.5, 2 ** -1074, 1e308, NaN, Infinity, -Infinity],
  ].map((value) => [String(value), () => value]),
)

const TB_OFFSET = 0x1030_0000_0000_009cn

export const bigints: Readonly<Record<string, Make>> = Object.fromEntries(
  [
    ...[TB_OFFSET, 0n, 1n, -1n, 2n ** 64n - 1n, 2n ** 64n, 2n ** 64n + TB_OFFSET, -TB_OFFSET],
    ...[2n ** 63n, -(2n ** 63n), 2n ** 128n, 2n ** 10_000n, BigInt(N)],
    // Every size that an id can have: from 1 byte to 32768.
    ...Array.from({ length: 16 }, (_, size) => (BigInt(size) << 52n) | 0x9cn),
  ].map((value) => [value < 2n ** 130n ? `${value}n` : 'a huge bigint', () => value]),
)

export const strings: Readonly<Record<string, Make>> = {
  'no path': () => '',
  'a path that is not there': () => '/nonexistent/abuse',
  'a path with a null byte': () => '/dev/null\0',
  'a null byte': () => '\0',
  'half a character': () => '/nonexistent/\ud800',
  'a long path': () => `/nonexistent/${'x'.repeat(100_000)}`,
  'a rope': () => Array.from({ length: 5_000 }, () => '/nonexistent').reduce((a, b) => a + b),
}

type Buffers = new (length: number, options?: { maxByteLength: number }) => ArrayBuffer
// TypeScript's library for Node 20 does not have these yet.
export const Resizable = ArrayBuffer as unknown as new (
  length: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(length: number): void }
export const Growable = SharedArrayBuffer as unknown as new (
  length: number,
  options: { maxByteLength: number },
) => SharedArrayBuffer & { grow(length: number): void }

/** Larger than 32 bits can say, where there is the memory for it. */
const HUGE = emulated || sanitized ? 2 ** 26 : 2 ** 32

class Liar extends Uint8Array {
  override get length(): number {
    return trap('a length of its own')
  }
  override get buffer(): ArrayBuffer {
    return trap('a buffer of its own')
  }
  static get [Symbol.species](): never {
    return trap('a species of its own')
  }
}

export interface TypedArray {
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): ArrayBufferView
  readonly BYTES_PER_ELEMENT: number
}

export const kinds = [
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array],
  ...[Float32Array, Float64Array, BigInt64Array, BigUint64Array],
] as unknown as TypedArray[]

/** Typed arrays, the right ones among them. Their bytes are 0xa5. */
export const arrays: Readonly<Record<string, Make>> = {
  ...Object.fromEntries(
    kinds.flatMap((Kind) =>
      ([ArrayBuffer, SharedArrayBuffer] as unknown as Buffers[]).flatMap((Memory) =>
        [0, 8, 16, 24, 32, 40, 64, 72, 80, 136].map((size) => [
          `a ${Kind.name} on ${size} bytes of ${Memory.name}`,
          () => new Kind(filled(new Memory(size))),
        ]),
      ),
    ),
  ),
  ...Object.fromEntries(
    [1, 2, 3, 4, 7, 9, 15, 17, 31, 33, 71, 73, 128, 32768].map((size) => [
      `${size} bytes`,
      () => new Uint8Array(filled(new ArrayBuffer(size))),
    ]),
  ),
  ...Object.fromEntries(
    [1, 3, 4, 7, 8, 16].map((offset) => [
      `a batch at offset ${offset}`,
      () => new Uint8Array(filled(new SharedArrayBuffer(128)), offset, 72),
    ]),
  ),
  'bytes at an odd offset': () => new Uint8Array(filled(new ArrayBuffer(64)), 13, 8),
  'a Buffer of Node’s pool': () => Buffer.from('8 bytes.'),
  'bytes that are elsewhere now': () => detached(new Uint8Array(8)),
  'no bytes that are elsewhere now': () => detached(new Uint8Array(0)),
  'words that are elsewhere now': () => detached(new BigUint64Array(4)),
  'bytes on memory that has shrunk below them': () => resized(8, 16, 4, 8),
  'bytes on memory that has shrunk to nothing': () => resized(8, 16, 0, 8),
  'bytes on memory that has shrunk and grown again': () => {
    const buffer = new Resizable(8, { maxByteLength: 16 })
    const bytes = new Uint8Array(buffer, 0, 8)
    buffer.resize(4)
    buffer.resize(16)
    filled(buffer)
    return bytes
  },
  'bytes that begin where memory no longer is': () => {
    const buffer = new Resizable(16, { maxByteLength: 16 })
    const bytes = new Uint8Array(buffer, 8)
    buffer.resize(4)
    return bytes
  },
  'as many bytes as there are, now 8': () => resized(4, 16, 8),
  'as many bytes as there are, now 9': () => resized(8, 16, 9),
  'as many bytes as there are, now none': () => resized(8, 16, 0),
  'as much of a batch as there is, now 72': () => {
    const buffer = new Growable(40, { maxByteLength: 4096 })
    const bytes = new Uint8Array(buffer)
    buffer.grow(72)
    filled(buffer)
    return bytes
  },
  'as much of a batch as there is, now 73': () => {
    const buffer = new Growable(72, { maxByteLength: 4096 })
    const bytes = new Uint8Array(buffer)
    buffer.grow(73)
    return bytes
  },
  'as many words as there are, now 4 and a half': () => {
    const buffer = new Growable(8, { maxByteLength: 4096 })
    const words = new BigUint64Array(buffer)
    buffer.grow(36)
    return words
  },
  'memory of WebAssembly': () =>
    runInThisContext(
      'new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 1, 8)',
    ) as unknown,
  'shared memory of WebAssembly': () =>
    runInThisContext(
      'new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }).buffer, 8, 72)',
    ) as unknown,
  'bytes that lie': () => new Liar(8),
  'bytes that lie, of a batch': () => new Liar(new SharedArrayBuffer(72) as unknown as ArrayBuffer),
  'bytes without a prototype': () => Object.setPrototypeOf(new Uint8Array(8), null) as unknown,
  'words that take no properties': () => Object.preventExtensions(new BigUint64Array(4)),
  'bytes of another realm': () => runInNewContext('new Uint8Array(8).fill(0xa5)') as unknown,
  'a batch of another realm': () =>
    runInNewContext('new Uint8Array(new SharedArrayBuffer(72)).fill(0xa5)') as unknown,
  'words of another realm': () =>
    runInNewContext('new BigUint64Array(new SharedArrayBuffer(32))') as unknown,
}

/** Each takes its time and its address space: for a table, not for a hundred thousand calls. */
export const hugeArrays: Readonly<Record<string, Make>> = {
  'huge bytes': () => new Uint8Array(HUGE),
  'huge shared bytes': () => new Uint8Array(new SharedArrayBuffer(HUGE)),
  'huge words': () => new BigUint64Array(HUGE / 8),
  'huge shared words': () => new BigUint64Array(new SharedArrayBuffer(HUGE)),
  'a batch of 2^20 entries': () => new Uint8Array(new SharedArrayBuffer(2 ** 25 + 8)),
  'a batch of one entry more': () => new Uint8Array(new SharedArrayBuffer(2 ** 25 + 40)),
  'a huge string': () => `/nonexistent/${'x'.repeat(HUGE / 64)}`,
}

/** Harmless contents: as ids and as descriptors they do not belong to anything. */
function filled<B extends ArrayBufferLike>(buffer: B): B {
  new Uint8Array(buffer).fill(0xa5)
  return buffer
}

/** Bytes over memory whose size has changed since; without `length`, as many as there are. */
function resized(from: number, most: number, to: number, length?: number): Uint8Array {
  const buffer = new Resizable(from, { maxByteLength: most })
  const bytes = new Uint8Array(buffer, 0, length)
  buffer.resize(to)
  filled(buffer)
  return bytes
}
