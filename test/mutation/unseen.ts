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
    file: 'lib/kvm/call-queue.ts',
    line: "signal.addEventListener('abort', onAbort, { once: true })",
    changes: ['{ once: true } => {}', 'true => false'],
    why: 'the listener is taken away when the call ends, and a signal is aborted once',
  },
]
