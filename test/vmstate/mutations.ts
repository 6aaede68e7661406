/** Numbers that look random and are the same for the same seed (xorshift32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0 || 1
  }

  /** From 0 to `end` - 1. */
  below(end: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % end
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[this.below(list.length)]
    if (picked === undefined) throw new Error('there is nothing to pick from')
    return picked
  }
}

/** The time that this process has worked: unlike a clock's, it is the same on a busy machine. */
export function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

type Mutation = (bytes: Buffer, dice: Dice, others: readonly Uint8Array[]) => Buffer

/** What a length might say to do harm, or to do none where some is expected. */
const lies = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

const mutations: readonly Mutation[] = [
  function flipBits(bytes, dice) {
    for (let left = 1 + dice.below(4); left > 0 && bytes.length > 0; left--) {
      const at = dice.below(bytes.length)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8))
    }
    return bytes
  },
  function cut(bytes, dice) {
    return bytes.subarray(0, dice.below(bytes.length + 1))
  },
  function cutOut(bytes, dice) {
    const start = dice.below(bytes.length + 1)
    const end = start + dice.below(16)
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)])
  },
  function splice(bytes, dice, others) {
    const other = dice.pick(others)
    const from = dice.below(other.length + 1)
    const at = dice.below(bytes.length + 1)
    const piece = other.subarray(from, from + 1 + dice.below(64))
    return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)])
  },
  function lie(bytes, dice) {
    const width = dice.pick([1, 2, 4])
    if (bytes.length < width) return bytes
    const value = dice.pick(lies) % 256 ** width
    bytes.writeUIntBE(value, dice.below(bytes.length - width + 1), width)
    return bytes
  },
]

/** A copy of the bytes with one to three things done to it. */
export function mutated(bytes: Uint8Array, dice: Dice, others: readonly Uint8Array[]): Buffer {
  let result = Buffer.from(bytes)
  for (let left = 1 + dice.below(3); left > 0; left--) {
    result = Buffer.from(dice.pick(mutations)(result, dice, others))
  }
  return result
}
