/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
export { openHost, Host } from './kvm/host.ts'
export type { HostOptions } from './kvm/host.ts'
export type { TimebaseSample } from './kvm/sample.ts'
export { Vm } from './kvm/vm.ts'
export { Vcpu } from './kvm/vcpu.ts'
export type { AsyncOptions } from './kvm/async-options.ts'
export type { BoundRegisters } from './kvm/bound-registers.ts'
export type { ChangedRegister, RestoreOptions, RestoreOutcome } from './kvm/restore.ts'
export { parseRegisters, serializeRegisters } from './kvm/register-text.ts'

export { inheritTimebase, inheritTimebaseAsync } from './timebase/inherit.ts'
export { loadTimebase, TIMEBASE_ADJUST_CHANNEL } from './timebase/load.ts'
export { rehearse } from './timebase/rehearse.ts'
export type { Rehearsal, RehearseOptions } from './timebase/rehearse.ts'
export { saveTimebase, saveTimebaseAsync } from './timebase/save.ts'
export type { AlignOptions, TimebaseAdjustMessage } from './timebase/load.ts'
export type { InheritOutcome, LoadOutcome } from './timebase/outcomes.ts'
export { INHERIT_CHANNEL, LOAD_CHANNEL, SAVE_CHANNEL } from './timebase/channels.ts'
export type { InheritMessage, LoadMessage, SaveMessage } from './timebase/channels.ts'
export { planTimebase, TIMEBASE_OFFSET_STEP } from './timebase/plan.ts'
export type { PlanOptions, TimebasePlan, TimebasePoint } from './timebase/plan.ts'
export { parseTimebase, serializeTimebase } from './timebase/state.ts'
export type { TimebaseState } from './timebase/state.ts'
export type { VcpuTimers } from './timebase/timers.ts'
export { loadOneRegState, saveOneRegState, saveOneRegStateAsync } from './timebase/move-one-reg.ts'
export type { LoadOneRegOptions, OneRegOutcome } from './timebase/move-one-reg.ts'
export { parseOneRegState, serializeOneRegState } from './timebase/one-reg-state.ts'
export type { OneRegState, VcpuRegisters } from './timebase/one-reg-state.ts'

export { registers } from './registers.ts'
export type {
  Register,
  RegisterName,
  RegisterValue,
  RegisterValues,
  RegisterWidth,
} from './registers.ts'

export {
  KvmError,
  OneRegError,
  OneRegNotLoadedError,
  RestoreIncompleteError,
  TimebaseClockError,
  TimebaseDivergedError,
  TimebaseDowntimeError,
  TimebaseFrequencyError,
  TimebaseNotAppliedError,
  VmstateError,
} from './errors.ts'
export type {
  ErrorCode,
  ErrorReason,
  KvmErrorContext,
  MismatchReason,
  NotRestored,
  NotWritten,
  UnavailableReason,
  VmstateErrorCode,
} from './errors.ts'

export type { Kernel } from './kernel/kernel.ts'
export type { WallClock } from './kernel/wall-clock.ts'
export { NO_REGISTER, OneRegBatch } from './kernel/batch.ts'
export { ObservedKernel } from './kernel/observed.ts'
export type { KernelCall } from './kernel/observed.ts'
export { NativeKernel } from './kernel/native.ts'
export { SoftwareKernel } from './kernel/software/kernel.ts'
export type { SoftwareKernelOptions } from './kernel/software/kernel.ts'
export type { SoftwareClock, SoftwareClockOptions } from './kernel/software/clock.ts'
export type { ModelledLinux, ModelledMachine } from './kernel/software/machine.ts'
export type { Fault, Operation } from './testing/faults.ts'
