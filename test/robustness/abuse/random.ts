import type { Dice } from '../../vmstate/mutations.ts'
import { Growable, kinds, Resizable } from './hostile.ts'
import type { TypedArray } from './hostile.ts'

/** Never one that some file has, nor one that becomes one where it is cut to 32 bits. */
export function randomNumber(dice: Dice): number {
  const number = 2 ** 30 + dice.below(2 ** 30)
  return dice.pick([number, number, number, -number, number + 0.5, number + 2 ** 32, NaN])
}

export function randomBigint(dice: Dice): bigint {
  const id = (BigInt(dice.below(2 ** 32)) << 32n) | BigInt(dice.below(2 ** 32))
  // Most are of a size that POWER's registers have.
  const usual = (id & ~(0xfn << 52n)) | (BigInt(dice.below(5)) << 52n)
  return dice.pick([usual, usual, usual, id, -id, id << BigInt(dice.below(100))])
}

/** On memory of any kind, of any size and from any byte on; that memory may have changed since. */
export function randomArray(dice: Dice, fds: readonly number[]): unknown {
  const Kind: TypedArray = dice.pick([Uint8Array, Uint8Array, BigUint64Array, dice.pick(kinds)])
  const wide = Kind.BYTES_PER_ELEMENT
  const length = Math.ceil(
    dice.pick([8, 16, 32, 72, 40, 8 + 32 * dice.below(64), dice.below(200)]) / wide,
  )
  const offset = dice.pick([0, 0, 0, wide * dice.below(20)])
  const end = offset + length * wide
  const size = end + wide * dice.pick([0, 0, dice.below(64)])
  const tracking = dice.below(4) === 0 ? undefined : length
  const maxByteLength = 2 * size
  switch (dice.below(8)) {
    case 0:
      return scribbled(new Kind(new ArrayBuffer(size), offset, length), dice, fds)
    case 1: {
      const buffer = new Resizable(size, { maxByteLength })
      const array = scribbled(new Kind(buffer, offset, tracking), dice, fds)
      buffer.resize(dice.below(maxByteLength + 1))
      return array
    }
    case 2: {
      const buffer = new ArrayBuffer(size)
      const array = scribbled(new Kind(buffer, offset, length), dice, fds)
      structuredClone(buffer, { transfer: [buffer] })
      return array
    }
    case 3: {
      const buffer = new Growable(size, { maxByteLength })
      const array = scribbled(new Kind(buffer, offset, tracking), dice, fds)
      buffer.grow(size + dice.below(size + 1))
      return array
    }
    default:
      return scribbled(new Kind(new SharedArrayBuffer(size), offset, length), dice, fds)
  }
}

/** With anything in it; much of that descriptors that exist, and ids of 64 bits. */
function scribbled<A extends ArrayBufferView>(array: A, dice: Dice, fds: readonly number[]): A {
  const bytes = Buffer.from(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength)
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    bytes.writeInt32LE(
      dice.pick([dice.below(2 ** 32) | 0, dice.pick(fds), 0x1030_0000 + dice.below(256), -1]),
      at,
    )
  }
  // Where the index of a batch is looked for: one that there may have been.
  if (array instanceof BigUint64Array && dice.below(2) === 0) array[3] = BigInt(dice.below(1000))
  return array
}
