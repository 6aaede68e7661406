import { describe } from 'vitest'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { describeMoves } from './moves.ts'
import { describeSnapshots } from './snapshots.ts'

const place = { makeKernel: () => new NativeKernel(), ids: [0, 1], apart: 5 }

describe('faults on real KVM', () => {
  describeMoves(place)
  describeSnapshots(place)
})
