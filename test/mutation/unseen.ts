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
    line: 'if (performance.now() > limit) throw notReached(timebase, `it is ${left} ms behind`)',
    changes: ['performance.now() > limit => performance.now() >= limit'],
    why: 'the limit is one of patience: either side of it is right',
  },
  {
    file: 'lib/timebase/wait.ts',
    line: 'else if (left > TIMER_MARGIN_MS)',
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
  {
    file: 'lib/kernel/software/decrementer.ts',
    line: 'return dec > 0n ? dec : 0n',
    changes: ['dec > 0n => dec >= 0n'],
    why: 'equivalent: both give 0',
  },
  {
    file: 'lib/kernel/software/kernel.ts',
    line: "const LITTLE_ENDIAN = endianness() === 'LE'",
    changes: ["endianness() === 'LE' => true"],
    why: 'equivalent on the machines that have Node and KVM for POWER',
  },
  {
    file: 'lib/kernel/software/kernel.ts',
    line: 'const highestFirst = LITTLE_ENDIAN ? [...bytes].reverse() : [...bytes]',
    changes: ['[...bytes] => []'],
    why: 'for a big-endian machine',
  },
  {
    file: 'lib/kernel/software/kernel.ts',
    line: 'bytes.set(LITTLE_ENDIAN ? lowestFirst : lowestFirst.reverse())',
    changes: ['lowestFirst.reverse() => lowestFirst'],
    why: 'for a big-endian machine',
  },
  {
    file: 'lib/kernel/software/kernel.ts',
    line: ': call(fds[index] ?? -1, id, batch.bytes(index, size))',
    changes: ['-1 => +1'],
    why: 'equivalent: there is a descriptor for each entry, but TypeScript wants a value',
  },
  {
    file: 'lib/kernel/software/kernel.ts',
    line: 'below: { timebaseOffset: 0n, level: undefined },',
    changes: ['{ timebaseOffset: 0n, level: undefined } => {}'],
    why: 'equivalent: the first run sets both before they are read',
  },
  {
    file: 'lib/kernel/software/kernel.ts',
    line: 'if (result < 0 && failure === 0) failure = result',
    changes: ['result < 0 => true', 'result < 0 => result <= 0'],
    why: 'equivalent: a result of 0 leaves 0',
  },
  {
    file: 'lib/kernel/software/machine.ts',
    line: 'permitted: { HIOR: [0n], DEBUG_INST: [] },',
    changes: ['[] => ["Stryker was here"]'],
    why: 'equivalent: it permits a string, which no register holds',
  },
  {
    file: 'lib/kernel/software/machine.ts',
    line: '/^(IAC\\d|DAC\\d|EPCR|EPR|OR_TSR|CLEAR_TSR|TCR|TSR|MAS\\w+|MMUCFG|TLB\\w+|EPTCFG|DBSR|SPRG9|TFHAR|TFIAR|TEXASR|TM_\\w+)$/',
    changes: [
      '/^(IAC\\d|DAC\\d|EPCR|EPR|OR_TSR|CLEAR_TSR|TCR|TSR|MAS\\w+|MMUCFG|TLB\\w+|EPTCFG|DBSR|SPRG9|TFHAR|TFIAR|TEXASR|TM_\\w+)$/ => /^(IAC\\d|DAC\\d|EPCR|EPR|OR_TSR|CLEAR_TSR|TCR|TSR|MAS\\w+|MMUCFG|TLB\\w+|EPTCFG|DBSR|SPRG9|TFHAR|TFIAR|TEXASR|TM_\\w+)/',
    ],
    why: 'equivalent: no other register has a name that begins like one of these',
  },
  {
    file: 'lib/kernel/software/vcpu.ts',
    line: 'Object.entries(registers).map(([name, register]) => [',
    changes: [
      '([name, register]) => [ register.id, { name: name as RegisterName, register }, ] => () => undefined',
    ],
    why: 'seen, but not by Stryker: the module cannot be loaded, and no test of it begins',
  },
  {
    file: 'lib/kvm/snapshot.ts',
    line: 'const absent: RegisterName[] = []',
    changes: ['[] => ["Stryker was here"]'],
    why: 'equivalent: a name that no register has is remembered as absent',
  },
  {
    file: 'lib/kvm/snapshot.ts',
    line: 'held++',
    changes: ['held++ => held--'],
    why: 'equivalent: the only question is whether it is 0',
  },
  {
    file: 'lib/kvm/snapshot.ts',
    line: 'if (first !== undefined && held === 0) {',
    changes: ['first !== undefined => true'],
    why: 'equivalent: a vCPU has registers, but TypeScript wants the question',
  },
  {
    file: 'lib/kvm/snapshot.ts',
    line: "yield { operation: 'KVM_SET_ONE_REG', batch }",
    changes: ['\'KVM_SET_ONE_REG\' => ""'],
    why: 'equivalent: what is not KVM_GET_ONE_REG sets',
  },
  {
    file: 'lib/kvm/snapshot.ts',
    line: 'now !== undefined && now.result >= 0 && want !== undefined && sameValue(now.value, want)',
    changes: ['now !== undefined => true', 'want !== undefined => true'],
    why: 'equivalent: there are both for each register, but TypeScript wants the question',
  },
  {
    file: 'lib/kvm/snapshot.ts',
    line: 'if (wanted === undefined || sameValue(value, wanted)) continue',
    changes: ['wanted === undefined => false'],
    why: 'equivalent: there is one for each register, but TypeScript wants the question',
  },
  {
    file: 'lib/kvm/snapshot.ts',
    line: "'DEC_EXPIRY',",
    changes: ['\'DEC_EXPIRY\' => ""'],
    why: 'equivalent: it is then written with the rest, which also follow TB_OFFSET',
  },
  {
    file: 'lib/timebase/apply.ts',
    line: "const failed = failure === 0 ? undefined : firstFailure('KVM_GET_ONE_REG', written)",
    changes: ['failure === 0 => false'],
    why: 'equivalent: without a failure none is found, only later',
  },
  {
    file: 'lib/timebase/apply.ts',
    line: 'if (!areComplete) {',
    changes: ['!areComplete => true'],
    why: 'equivalent: the way for the general case gives the same, and takes longer',
  },
  {
    file: 'lib/timebase/guest.ts',
    line: 'function inTheSameOrder(ids: readonly number[], saved: readonly CheckedTimers[]): boolean {',
    changes: [
      '{ if (ids.length !== saved.length) return false for (let index = 0; index < ids.length; index++) { if (ids[index] !== saved[index]?.id) return false } return true } => {}',
    ],
    why: 'equivalent: the way for any order gives the same, and takes longer',
  },
  {
    file: 'lib/timebase/rehearse.ts',
    line: 'field === undefined || vcpus.every((timers) => timers[field] !== undefined)',
    changes: [
      'vcpus.every((timers) => timers[field] !== undefined) => vcpus.some(timers => timers[field] !== undefined)',
    ],
    why: 'equivalent: the vCPUs of one VM have the same registers',
  },
  {
    file: 'lib/timebase/save.ts',
    line: 'saved[vcpu] = withoutAbsent(timersAt(ids[vcpu] ?? -1, vcpu, read))',
    changes: ['-1 => +1'],
    why: 'equivalent: there is an id for each vCPU, but TypeScript wants a value',
  },
  {
    file: 'lib/timebase/save.ts',
    line: 'return BigInt.asIntN(64, other - one) > 0n ? other : one',
    changes: ['BigInt.asIntN(64, other - one) > 0n => BigInt.asIntN(64, other - one) >= 0n'],
    why: 'equivalent: the two values are the same then',
  },
  {
    file: 'lib/timebase/state.ts',
    line: 'const vcpus = new Array<CheckedTimers>(given.length)',
    changes: ['new Array<CheckedTimers>(given.length) => new Array()'],
    why: 'equivalent: the length is given for speed',
  },
  {
    file: 'lib/timebase/state.ts',
    line: 'const ids = new Array<number>(given.length)',
    changes: ['new Array<number>(given.length) => new Array()'],
    why: 'equivalent: the length is given for speed',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: "const register = this.#rows[Math.floor(index / ids.length)]?.name ?? 'TB_OFFSET'",
    changes: [
      '\'TB_OFFSET\' => ""',
      'this.#rows[Math.floor(index / ids.length)]?.name => this.#rows[Math.floor(index / ids.length)].name',
    ],
    why: 'equivalent: there is a row for each index, but TypeScript wants a value',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'return { vcpu: ids[index % ids.length] ?? -1, register }',
    changes: ['-1 => +1'],
    why: 'equivalent: there is an id for each vCPU, but TypeScript wants a value',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'if (!this.areComplete && (this.batch.results[index] ?? -1) < 0) return undefined',
    changes: ['-1 => +1'],
    why: 'equivalent: there is a result for each entry, but TypeScript wants a value',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'if (!this.areComplete && (this.batch.results[index] ?? -1) < 0) return undefined',
    changes: ['this.batch.results[index] ?? -1 => this.batch.results[index] && -1'],
    why: 'equivalent: a result is 0 or below',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: "`vCPU ${read.guest.ids[vcpu] ?? '?'} has no KVM_REG_PPC_TB_OFFSET: it needs Linux 3.13 with HV KVM on POWER7 or later; PR KVM, BookE and other processors do not have it`,",
    changes: ['\'?\' => ""'],
    why: 'equivalent: there is an id for each vCPU, but TypeScript wants a value',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'if (this.batch.count !== count) {',
    changes: ['this.batch.count !== count => true'],
    why: 'equivalent: new memory gives the same, and takes longer',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: '} else if (this.#left === 0) return this.#withFds(guest.fds)',
    changes: ['this.#left === 0 => false'],
    why: 'equivalent: the ids are written again, which takes longer',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'if (read.areComplete) return []',
    changes: ['read.areComplete => false'],
    why: 'equivalent: none is found to be absent, only later',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'const start = column * this.#length',
    changes: ['column * this.#length => column / this.#length'],
    why: 'equivalent: the columns that are read back are the first of their memory',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'if (!read.areComplete) checkAbsent(read)',
    changes: ['!read.areComplete => true'],
    why: 'equivalent: it finds nothing, only later',
  },
  {
    file: 'lib/timebase/time-registers.ts',
    line: 'if (read.areComplete) return',
    changes: ['read.areComplete => false'],
    why: 'equivalent: it finds nothing, only later',
  },
  {
    file: 'lib/timebase/timers.ts',
    line: 'export const timerFields: readonly TimerField[] = timeRegisters.flatMap(({ field }) => field ?? [])',
    changes: ['[] => ["Stryker was here"]'],
    why: 'equivalent: it adds a field that no state has',
  },
  {
    file: 'lib/timebase/timers.ts',
    line: "typeof id === 'number' &&",
    changes: [
      "typeof id === 'number' && (id & 0x7fff_ffff) === id && isTicks(decExpiry) && isTicks(vtb) && isTicks(purr) && isTicks(spurr) => false",
      '\'number\' => ""',
    ],
    why: 'equivalent: what this does not accept goes the slow way, which finds the wrong field, or none',
  },
  {
    file: 'lib/timebase/timers.ts',
    line: 'function isTicks(value: unknown): boolean {',
    changes: ['{ return value === undefined || isU64(value) } => {}'],
    why: 'equivalent: what this does not accept goes the slow way, which finds the wrong field, or none',
  },
  {
    file: 'lib/timebase/timers.ts',
    line: 'return value === undefined || isU64(value)',
    changes: [
      'value === undefined || isU64(value) => false',
      'value === undefined || isU64(value) => value === undefined && isU64(value)',
      'value === undefined => false',
      'value === undefined => value !== undefined',
    ],
    why: 'equivalent: what this does not accept goes the slow way, which finds the wrong field, or none',
  },
  {
    file: 'lib/timebase/timers.ts',
    line: 'decExpiry !== undefined && vtb !== undefined && purr !== undefined && spurr !== undefined',
    changes: [
      'decExpiry !== undefined && vtb !== undefined && purr !== undefined && spurr !== undefined => false',
    ],
    why: 'equivalent: the way for the general case gives the same, and takes longer',
  },
  {
    file: 'lib/timebase/timers.ts',
    line: 'if (areComplete) return timers as VcpuTimers',
    changes: ['areComplete => false'],
    why: 'equivalent: the way for the general case gives the same, and takes longer',
  },
  {
    file: 'lib/timebase/save.ts',
    line: 'const saved = new Array<VcpuTimers>(ids.length)',
    changes: ['new Array<VcpuTimers>(ids.length) => new Array()'],
    why: 'equivalent: the length is given for speed',
  },
]
