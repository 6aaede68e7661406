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
  {
    file: 'lib/kvm/held.ts',
    line: 'byNumber.set(fds[index] ?? -1, { offset, guestTimebase, descriptor })',
    changes: ['-1 => +1'],
    why: 'equivalent: there is a descriptor for each vCPU, but TypeScript wants a value',
  },
  {
    file: 'lib/kvm/held.ts',
    line: "`An aligned load of vCPU ${ids[first.index] ?? '?'} waits for the instant at which the guest can go on: await its promise first`,",
    changes: ['\'?\' => ""'],
    why: 'equivalent: there is an id for each vCPU, but TypeScript wants a value',
  },
  {
    file: 'lib/kvm/held.ts',
    line: 'if (byNumber === undefined || byNumber.size === 0) return []',
    changes: ['byNumber.size === 0 => false'],
    why: 'equivalent: in an empty map nothing is found, only later',
  },
  {
    file: 'lib/kvm/descriptor.ts',
    line: 'const names = found.flatMap(({ name, fd }) => (fd === undefined ? [] : `${name} (fd ${fd})`))',
    changes: ['[] => ["Stryker was here"]', 'fd === undefined => false'],
    why: 'not reached: a descriptor that is closed leaves the registry, and no code runs between that and this',
  },
  {
    file: 'lib/kvm/descriptor.ts',
    line: 'if (names.length === 0) return',
    changes: ['names.length === 0 => false'],
    why: 'not reached, for the same reason',
  },
  {
    file: 'lib/timebase/plan.ts',
    line: 'const wantedTicks = limitTicks !== undefined && owedTicks > limitTicks ? limitTicks : owedTicks',
    changes: [
      'limitTicks !== undefined => true',
      'owedTicks > limitTicks => owedTicks >= limitTicks',
    ],
    why: 'equivalent: no number is greater than undefined, and of two equal ones either will do',
  },
  {
    file: 'lib/timebase/plan.ts',
    line: 'const size = ticks < 0n ? -ticks : ticks',
    changes: ['ticks < 0n => ticks <= 0n'],
    why: 'equivalent: -0n is 0n',
  },
  {
    file: 'lib/timebase/plan.ts',
    line: 'return value > limit ? limit : value',
    changes: ['value > limit => value >= limit'],
    why: 'equivalent: the two values are the same then',
  },
  {
    file: 'lib/timebase/wait.ts',
    line: 'for (; left > 0; left = leftMs()) {',
    changes: ['left > 0 => left >= 0'],
    why: 'equivalent but for one more reading at the very tick',
  },
  {
    file: 'lib/timebase/wait.ts',
    line: 'if (performance.now() > limit) throw notReached(timebase, `it is ${left} ms behind`)',
    changes: ['performance.now() > limit => performance.now() >= limit'],
    why: 'the limit is one of patience: either side of it is right',
  },
  {
    file: 'lib/timebase/wait.ts',
    line: 'if (left > TIMER_MARGIN_MS) await setTimeout(Math.min(left - TIMER_MARGIN_MS, LONGEST_TIMER_MS))',
    changes: ['left > TIMER_MARGIN_MS => left >= TIMER_MARGIN_MS'],
    why: 'of a margin in milliseconds either side is right',
  },
  {
    file: 'lib/timebase/wait.ts',
    line: 'else if (left > SPIN_MS) await setImmediate()',
    changes: ['left > SPIN_MS => left >= SPIN_MS'],
    why: 'of a margin in milliseconds either side is right',
  },
  {
    file: 'lib/timebase/wait.ts',
    line: 'while (performance.now() < end) {',
    changes: ['performance.now() < end => performance.now() <= end'],
    why: 'of a margin in milliseconds either side is right',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: "throw mismatch('repeated', `vCPU ${ids[repeated] ?? '?'} was given twice`)",
    changes: ['\'?\' => ""'],
    why: 'equivalent: there is an id for each vCPU, but TypeScript wants a value',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: "if (fd === undefined) throw closed(`vCPU ${ids[index] ?? '?'}`)",
    changes: ['\'?\' => ""'],
    why: 'equivalent: there is an id for each vCPU, but TypeScript wants a value',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'const ids = new Array<number>(length)',
    changes: ['new Array<number>(length) => new Array()'],
    why: 'equivalent: the length is given for speed',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'const descriptors = new Array<Descriptor>(length)',
    changes: ['new Array<Descriptor>(length) => new Array()'],
    why: 'equivalent: the length is given for speed',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'if (repeated >= 0) {',
    changes: ['repeated >= 0 => repeated > 0'],
    why: 'equivalent: it is the index of the second of two, never the first of all',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'const fd = descriptors[index]?.fd',
    changes: ['descriptors[index]?.fd => descriptors[index].fd'],
    why: 'equivalent: there is a descriptor for each vCPU, but TypeScript wants the question',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'if (inTheSameOrder(ids, state.vcpus)) return state.vcpus',
    changes: ['inTheSameOrder(ids, state.vcpus) => false'],
    why: 'equivalent: the way for any order gives the same, and takes longer',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'if (ids.length !== saved.length) return false',
    changes: ['ids.length !== saved.length => true'],
    why: 'equivalent: the way for any order gives the same, and takes longer',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'for (let index = 0; index < ids.length; index++) {',
    changes: ['index < ids.length => index <= ids.length'],
    why: 'equivalent: past the end both are undefined',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'if (ids[index] !== saved[index]?.id) return false',
    changes: ['ids[index] !== saved[index]?.id => true', 'saved[index]?.id => saved[index].id'],
    why: 'equivalent: the way for any order gives the same, and the lengths are equal',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'return true',
    changes: ['true => false'],
    why: 'equivalent: the way for any order gives the same, and takes longer',
  },
]
