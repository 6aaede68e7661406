/** Mutations of bytes, the same ones for the same seed. */

/** Numbers that a length, a count or a version might be replaced with. */
const LIES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** A generator of numbers below `limit` (mulberry32). */
export function random(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

type Mutation = (bytes: Buffer, other: Buffer, below: (limit: number) => number) => Buffer

const mutations: readonly Mutation[] = [
  function flipBit(bytes, _, below) {
    const at = below(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
    return bytes
  },
  function setByte(bytes, _, below) {
    bytes[below(bytes.length)] = below(256)
    return bytes
  },
  function lie(bytes, _, below) {
    const size = [1, 2, 4][below(3)] ?? 1
    if (bytes.length < size) return bytes
    const value = LIES[below(LIES.length)] ?? 0
    bytes.writeUIntBE(value % 2 ** (8 * size), below(bytes.length - size + 1), size)
    return bytes
  },
  function cut(bytes, _, below) {
    return bytes.subarray(0, below(bytes.length))
  },
  function remove(bytes, _, below) {
    const at = below(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(64))])
  },
  function repeat(bytes, _, below) {
    const at = below(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - below(200)))])
  },
  function splice(bytes, other, below) {
    const from = below(other.length)
    const piece = other.subarray(from, from + below(300))
    const at = below(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + below(300))])
  },
]

/** One to four mutations of `bytes`, some of which take pieces of `other`. */
export function mutate(bytes: Buffer, other: Buffer, below: (limit: number) => number): Buffer {
  let mutated = Buffer.from(bytes)
  for (let count = 1 + below(4); count > 0 && mutated.length > 0; count--) {
    mutated = Buffer.from(mutations[below(mutations.length)]?.(mutated, other, below) ?? mutated)
  }
  return mutated
}
