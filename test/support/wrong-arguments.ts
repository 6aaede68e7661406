import { inspect } from 'node:util'
import { expect } from 'vitest'
import { errorOf } from './error-of.ts'

/** A kind of argument: a right value, and wrong ones. */
export interface Kind {
  readonly right: () => unknown
  /** The values that must give a TypeError. */
  readonly wrongTypes: () => readonly unknown[]
  /** The values that must give a RangeError. */
  readonly wrongRanges: () => readonly unknown[]
}

/** A number that no file has, so that a missing check does no harm. */
export const NO_FD = 2 ** 31 - 1

const noNumbers = [undefined, null, '3', 3n, [3], {}, true, Symbol('3'), new Number(3), () => 3]

/** A file descriptor, an id, a capability: 0 to 2^31 - 1. */
export const integer: Kind = {
  right: () => NO_FD,
  wrongTypes: () => noNumbers,
  wrongRanges: () => [NaN, Infinity, -Infinity, 1.5, -1, -0.5, 2 ** 31, 2 ** 32, 2 ** 53],
}

export const path: Kind = {
  right: () => '/nonexistent',
  wrongTypes: () => [undefined, null, 3, 3n, {}, ['/dev/kvm'], Buffer.from('/dev/kvm'), true],
  wrongRanges: () => ['/dev/kvm\0', '\0', '/dev/null\0/dev/kvm'],
}

/** The id of a register of 64 bits. */
export const registerId: Kind = {
  right: () => 0x103000000000009cn,
  wrongTypes: () => [undefined, null, '1', 0x9c, NaN, {}, [1n], true, Object(1n) as unknown],
  // Also those whose low 64 bits are the right one's.
  wrongRanges: () => [
    -1n,
    1n << 64n,
    -(1n << 63n),
    1n << 128n,
    (1n << 64n) + 0x103000000000009cn,
    0x103000000000009cn - (1n << 64n),
  ],
}

/** The bytes of a register of 64 bits. */
export const eightBytes: Kind = {
  right: () => new Uint8Array(8),
  wrongTypes: () => [
    undefined,
    null,
    8,
    8n,
    'eight___',
    [0, 0, 0, 0, 0, 0, 0, 0],
    { length: 8, byteLength: 8 },
    new ArrayBuffer(8),
    new SharedArrayBuffer(8),
    new DataView(new ArrayBuffer(8)),
    new Int8Array(8),
    new Uint8ClampedArray(8),
    new Uint16Array(4),
    new Uint32Array(2),
    new BigUint64Array(1),
    new Float64Array(1),
  ],
  wrongRanges: () => [
    new Uint8Array(0),
    new Uint8Array(7),
    new Uint8Array(9),
    new Uint8Array(16),
    Buffer.alloc(7),
    detached(new Uint8Array(8)),
    outOfBounds(),
  ],
}

/** The array for a clock sample. */
export const threeWords: Kind = {
  right: () => new BigUint64Array(3),
  wrongTypes: () => [
    undefined,
    null,
    3,
    [0n, 0n, 0n],
    new ArrayBuffer(24),
    new DataView(new ArrayBuffer(24)),
    new BigInt64Array(3),
    new Float64Array(3),
    new Uint8Array(24),
    new Uint32Array(6),
  ],
  wrongRanges: () => [
    new BigUint64Array(0),
    new BigUint64Array(2),
    new BigUint64Array(4),
    detached(new BigUint64Array(3)),
  ],
}

const unshared: unknown[] = [
  undefined,
  null,
  72,
  [0],
  {},
  { length: 72, byteLength: 72 },
  new ArrayBuffer(72),
  new SharedArrayBuffer(72),
  new DataView(new SharedArrayBuffer(72)),
  Buffer.alloc(72),
  new Int32Array(new SharedArrayBuffer(72)),
]

/** The memory of a batch of two entries. */
export const batchMemory: Kind = {
  right: () => new Uint8Array(new SharedArrayBuffer(72)),
  wrongTypes: () => [...unshared, new Uint8Array(72), new Int8Array(new SharedArrayBuffer(72))],
  wrongRanges: () => [
    ...[0, 1, 7, 9, 64, 71, 73].map((size) => new Uint8Array(new SharedArrayBuffer(size))),
    // Aligned to 4 bytes only.
    new Uint8Array(new SharedArrayBuffer(76), 4, 72),
    new Uint8Array(new SharedArrayBuffer(((1 << 20) + 1) * 32 + 8)),
  ],
}

/** The memory of the clocks. */
export const clockWords: Kind = {
  right: () => new BigUint64Array(new SharedArrayBuffer(32)),
  wrongTypes: () => [
    ...unshared,
    new BigUint64Array(4),
    new BigInt64Array(new SharedArrayBuffer(32)),
    new Float64Array(new SharedArrayBuffer(32)),
  ],
  wrongRanges: () => [0, 24, 40].map((size) => new BigUint64Array(new SharedArrayBuffer(size))),
}

/** The calls that the kernel and the addon have in common, except those for batches. */
export const signatures = {
  open: [path],
  close: [integer],
  fileId: [integer],
  checkExtension: [integer, integer],
  createVm: [integer, integer],
  createVcpu: [integer, integer],
  getOneReg: [integer, registerId, eightBytes],
  setOneReg: [integer, registerId, eightBytes],
} as const satisfies Record<string, readonly Kind[]>

/** A typed array whose memory was transferred. */
export function detached<A extends ArrayBufferView<ArrayBuffer>>(array: A): A {
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

/** A typed array of eight bytes whose memory has since shrunk to four. */
function outOfBounds(): Uint8Array {
  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(length: number): void }
  const buffer = new Resizable(8, { maxByteLength: 16 })
  const view = new Uint8Array(buffer, 0, 8)
  buffer.resize(4)
  return view
}

/** Calls with each wrong value for one parameter, and right values for the others. */
export function expectRefusal(
  call: (...given: unknown[]) => unknown,
  kinds: readonly Kind[],
  parameter: number,
): void {
  const { wrongTypes, wrongRanges } = kinds[parameter] ?? integer
  const attempt = (value: unknown): unknown => {
    const given = kinds.map(({ right }, index) => (index === parameter ? value : right()))
    return errorOf(() => call(...given), inspect(value))
  }
  for (const value of wrongTypes()) expectWrongType(attempt(value), value)
  for (const value of wrongRanges()) expectOutOfRange(attempt(value), value)
}

export function expectWrongType(error: unknown, value?: unknown): void {
  expect(error, inspect(value)).toBeInstanceOf(TypeError)
  expect(error, inspect(value)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
}

export function expectOutOfRange(error: unknown, value?: unknown): void {
  expect(error, inspect(value)).toBeInstanceOf(RangeError)
  expect(error, inspect(value)).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
}
