const guests = 'test/timebase/{migration,align,messages,shared-offset}.test.ts'
const failing = 'test/robustness/faults/{failing,lying}-kernel.test.ts'

/** Which files are changed, each with the tests that run for every change of it. */
export const testsOf: Readonly<Record<string, readonly string[]>> = {
  'lib/timebase/plan.ts': ['test/timebase/{plan,messages}.test.ts'],
  'lib/timebase/state.ts': ['test/timebase/{state,messages}.test.ts'],
  'lib/timebase/wait.ts': ['test/timebase/wait.x86.test.ts'],
  'lib/timebase/guest.ts': [guests, 'test/robustness/abuse/reentrant.test.ts'],
  'lib/timebase/migration.ts': [guests, failing, 'test/robustness/abuse/reentrant.test.ts'],
  'lib/timebase/time-registers.ts': [guests, failing],
  'lib/timebase/apply.ts': [guests, failing, 'test/robustness/faults/interrupted.test.ts'],
  'lib/kvm/call-queue.ts': ['test/kvm/{off-thread,unclosed,vcpu}.test.ts'],
  'lib/kvm/descriptor.ts': ['test/kvm/{descriptor,host,unclosed,vcpu}.test.ts'],
  'lib/kvm/unclosed.ts': ['test/kvm/{unclosed,off-thread}.test.ts'],
  'lib/kvm/snapshot.ts': ['test/kvm/snapshot.test.ts', failing],
  'lib/kernel/software/capabilities.ts': ['test/kernel/**/software.test.ts'],
  'lib/kernel/software/clock.ts': ['test/kernel/**/software.test.ts'],
  'lib/kernel/software/kernel.ts': ['test/kernel/**/software.test.ts'],
  'lib/kernel/software/machine.ts': ['test/kernel/**/software.test.ts'],
  'lib/kernel/software/vcpu.ts': ['test/kernel/**/software.test.ts'],
}
