import { expect, it } from 'vitest'
import { Scratch } from '../../lib/kvm/scratch.ts'

it('a batch is used again once it is given back, if it is large enough', () => {
  const scratch = new Scratch()
  const batch = scratch.take(16)
  expect(batch).toMatchObject({ count: 16, used: 16 })
  const meanwhile = scratch.take(16)
  expect(meanwhile).not.toBe(batch)
  scratch.giveBack(batch)
  expect(scratch.take(3)).toBe(batch)
  expect(batch.used).toBe(3)
  scratch.giveBack(batch)
  expect(scratch.take(16)).toBe(batch)
  scratch.giveBack(batch)
  const larger = scratch.take(17)
  expect(larger).toMatchObject({ count: 32, used: 17 })
  scratch.giveBack(larger)
  expect(scratch.take(1)).toBe(larger)
  expect(new Scratch().take(0)).toMatchObject({ count: 16, used: 0 })
})
