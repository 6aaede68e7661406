import type { QemuIntegers, QemuValue } from './types.ts'

/** A type of integer: its size in bytes, how to read one (big-endian), and how to make an array of them. */
interface IntegerType {
  readonly size: number
  readonly one: (bytes: Buffer, at: number) => number | bigint
  readonly array: (length: number) => QemuIntegers
}

const integerTypes = new Map<string, IntegerType>([
  ['uint8', { size: 1, one: (b, at) => b.readUInt8(at), array: (n) => new Uint8Array(n) }],
  ['int8', { size: 1, one: (b, at) => b.readInt8(at), array: (n) => new Int8Array(n) }],
  ['uint16', { size: 2, one: (b, at) => b.readUInt16BE(at), array: (n) => new Uint16Array(n) }],
  ['int16', { size: 2, one: (b, at) => b.readInt16BE(at), array: (n) => new Int16Array(n) }],
  ['uint32', { size: 4, one: (b, at) => b.readUInt32BE(at), array: (n) => new Uint32Array(n) }],
  ['int32', { size: 4, one: (b, at) => b.readInt32BE(at), array: (n) => new Int32Array(n) }],
  [
    'uint64',
    { size: 8, one: (b, at) => b.readBigUInt64BE(at), array: (n) => new BigUint64Array(n) },
  ],
  ['int64', { size: 8, one: (b, at) => b.readBigInt64BE(at), array: (n) => new BigInt64Array(n) }],
])

// QEMU's names for the same integers where it compares them on load: they must be equal, or not greater.
for (const [name, type] of [...integerTypes]) {
  integerTypes.set(`${name} equal`, type)
  integerTypes.set(`${name} le`, type)
}

/** The value of a field of `size` bytes. */
export function decodeValue(type: string, size: number, bytes: Buffer, at: number): QemuValue {
  const integer = integerTypes.get(type)
  if (integer?.size === size) return integer.one(bytes, at)
  if (type === 'bool' && size === 1) return bytes[at] !== 0
  return bytes.subarray(at, at + size)
}

/** The value of an array of `length` elements of `size` bytes each. */
export function decodeArray(
  type: string,
  size: number,
  length: number,
  bytes: Buffer,
  at: number,
): QemuValue {
  const integer = integerTypes.get(type)
  if (integer?.size !== size) return bytes.subarray(at, at + size * length)
  const values: Record<number, number | bigint> & QemuIntegers = integer.array(length)
  for (let index = 0; index < length; index++) values[index] = integer.one(bytes, at + index * size)
  return values
}
