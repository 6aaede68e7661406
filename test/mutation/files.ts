import { readdirSync } from 'node:fs'
import path from 'node:path'

const failing = 'test/robustness/faults/{failing,lying}-kernel.test.ts'
const reentrant = 'test/robustness/abuse/reentrant.test.ts'
const guests =
  'test/timebase/{align,channels,decrementer,timer-memory,held,last-load,messages,migration,one-reg-state,rehearse,shared-offset}.test.ts'

/**
 * The tests that run for every change of a file, by file: fast ones that start no process. They share
 * their modules, so wait.x86.test.ts, which puts its own timers in place of Node's, cannot be with others.
 */
const ofFile: Readonly<Record<string, readonly string[]>> = {
  'lib/kvm/call-queue.ts': [
    'test/kvm/{call-queue,off-thread,unclosed,vcpu}.test.ts',
    'test/testing/running.test.ts',
  ],
  'lib/kvm/decrementer.ts': ['test/timebase/decrementer.test.ts', 'test/kvm/snapshot.test.ts'],
  'lib/kvm/descriptor.ts': ['test/kvm/{descriptor,host,inspect,off-thread,unclosed,vcpu}.test.ts'],
  'lib/kvm/held.ts': [
    'test/timebase/{align,held,one-reg-state}.test.ts',
    'test/kvm/{snapshot,vcpu}.test.ts',
  ],
  'lib/kvm/layout.ts': [
    'test/kvm/{bound-registers,layout,off-thread,snapshot,vcpu}.test.ts',
    reentrant,
  ],
  'lib/kvm/restore.ts': [
    'test/kvm/{off-thread,snapshot}.test.ts',
    'test/testing/running.test.ts',
    'test/timebase/one-reg-state.test.ts',
    failing,
  ],
  'lib/kvm/sample.ts': ['test/kvm/host.test.ts', 'test/timebase/{migration,state}.test.ts'],
  'lib/kvm/scratch.ts': ['test/kvm/{off-thread,scratch,snapshot,vcpu}.test.ts', reentrant],
  'lib/kvm/snapshot.ts': [
    'test/kvm/{off-thread,snapshot,register-text}.test.ts',
    'test/testing/running.test.ts',
    'test/timebase/one-reg-state.test.ts',
    failing,
  ],
  'lib/timebase/plan.ts': ['test/timebase/{plan,messages}.test.ts'],
  'lib/timebase/rehearse.ts': ['test/timebase/{channels,rehearse}.test.ts'],
  'lib/timebase/state.ts': ['test/timebase/{messages,one-reg-state,state}.test.ts'],
  'lib/timebase/timers.ts': ['test/timebase/{migration,state}.test.ts', failing],
  'lib/timebase/wait.ts': ['test/timebase/wait.x86.test.ts'],
}

/** The same for the other files of a folder. */
const ofFolder: Readonly<Record<string, readonly string[]>> = {
  'lib/kernel/software': [
    'test/kernel/**/software*.test.ts',
    'test/testing/*.test.ts',
    'test/{timebase,kvm}/{decrementer,shared-offset,snapshot}.test.ts',
  ],
  'lib/timebase': [
    guests,
    failing,
    'test/testing/running.test.ts',
    'test/robustness/faults/interrupted.test.ts',
    reentrant,
  ],
}

/**
 * Files that no fast test can judge: a table of what kernels answered, which they tell themselves in
 * side-by-side.power.test.ts, and the rounds of a rehearsal, of which `npm run bench:power` shows the effect.
 */
const measured: readonly string[] = [
  'lib/kernel/software/capabilities.ts',
  'lib/timebase/warm-up.ts',
]

/** The files that are changed: all of those folders, and some others. */
export const mutatedFiles: readonly string[] = [
  ...new Set([
    ...Object.keys(ofFile),
    ...Object.keys(ofFolder).flatMap((folder) =>
      readdirSync(folder).map((name) => path.join(folder, name)),
    ),
  ]),
].filter((file) => !measured.includes(file))

export function testsOf(file: string): readonly string[] {
  return ofFile[file] ?? ofFolder[path.dirname(file)] ?? []
}
