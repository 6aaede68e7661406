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
    line: 'const downtimeNs = passedNs > 0n ? passedNs : 0n',
    changes: ['passedNs > 0n => passedNs >= 0n'],
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
    line: "signal.addEventListener('abort', onAbort, { once: true })",
    changes: ['{ once: true } => {}', 'true => false'],
    why: 'equivalent: the listener is taken away when the call ends, and a signal is aborted once',
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
    line: 'for (let tries = 0; tries < 8; tries++) {',
    changes: ['tries < 8 => tries <= 8'],
    why: 'one reading more is as good',
  },
  {
    file: 'lib/kernel/software/clock.ts',
    line: 'if (Number(width) < narrowest.width) {',
    changes: ['Number(width) < narrowest.width => Number(width) <= narrowest.width'],
    why: 'of two readings that are equally close, either is right',
  },
]
