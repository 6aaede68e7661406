/** Mutants that no test sees, and why that is right. */
export interface Unseen {
  readonly file: string
  /** The line in which the changed code begins, without its indentation. */
  readonly line: string
  /** Each as "code => what takes its place", with one space for every run of white space. */
  readonly changes: readonly string[]
  readonly why: string
}

export const unseen: readonly Unseen[] = [
  {
    file: 'lib/timebase/plan.ts',
    line: 'const downtimeNs = clockDifferenceNs > 0n ? clockDifferenceNs : 0n',
    changes: ['clockDifferenceNs > 0n => clockDifferenceNs >= 0n'],
    why: 'equivalent: it gives 0 for 0 either way',
  },
  {
    file: 'lib/timebase/plan.ts',
    line: 'if (maxDowntimeNs !== undefined && downtimeNs > maxDowntimeNs) {',
    changes: ['maxDowntimeNs !== undefined => true'],
    why: 'equivalent: no number is greater than undefined, but TypeScript wants the question',
  },
  {
    file: 'lib/timebase/plan.ts',
    line: 'if (wanted <= least) return least',
    changes: ['wanted <= least => wanted < least'],
    why: 'equivalent: the same value is returned two lines further down, as nothing is above it',
  },
  {
    file: 'lib/kvm/call-queue.ts',
    line: "if (typeof removeEventListener !== 'function') return",
    changes: ["typeof removeEventListener !== 'function' => false"],
    why: 'equivalent: the call of something else throws, and add() drops what that promise rejects with',
  },
  {
    file: 'lib/kvm/decrementer.ts',
    line: 'return BigInt.asIntN(64, decExpiry - guestTimebase) < 0n ? guestTimebase : decExpiry',
    changes: [
      'BigInt.asIntN(64, decExpiry - guestTimebase) < 0n => BigInt.asIntN(64, decExpiry - guestTimebase) <= 0n',
    ],
    why: 'equivalent: the two values are the same then',
  },
  {
    file: 'lib/kvm/descriptor.ts',
    line: 'if (fileId > 0 && kernel.fileId?.(fd) === fileId) kernel.close(fd)',
    changes: ['kernel.fileId?.(fd) => kernel.fileId(fd)'],
    why: 'equivalent: an id above 0 comes from a kernel that has the method',
  },
  {
    file: 'lib/kernel/software/clock.ts',
    line: '#timebase = { shown: 0n, at: 0n }',
    changes: ['{ shown: 0n, at: 0n } => {}'],
    why: 'equivalent: the constructor sets it, but TypeScript wants a value before',
  },
  {
    file: 'lib/kernel/software/clock.ts',
    line: '#timeOfDay = { shown: 0n, at: 0n }',
    changes: ['{ shown: 0n, at: 0n } => {}'],
    why: 'equivalent: the constructor sets it, but TypeScript wants a value before',
  },
  {
    file: 'lib/kernel/software/clock.ts',
    line: 'return readings.reduce((one, other) => (other.width < one.width ? other : one)).difference',
    changes: ['other.width < one.width => other.width <= one.width'],
    why: 'of two readings that are equally narrow, either is right',
  },
]
