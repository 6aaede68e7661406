export { openHost, Host } from './host.ts'
export type { HostOptions } from './host.ts'
export { Vm } from './vm.ts'
export { Vcpu } from './vcpu.ts'
export type { AsyncOptions } from './vcpu.ts'
export type { BoundRegisters } from './bound-registers.ts'
export type { RestoreOptions, RestoreOutcome } from './snapshot.ts'

export {
  inheritTimebase,
  loadTimebase,
  saveTimebase,
  TIMEBASE_ADJUST_CHANNEL,
} from './migration.ts'
export type {
  AlignOptions,
  InheritOutcome,
  LoadOutcome,
  TimebaseAdjustMessage,
} from './migration.ts'
export { planTimebase, TIMEBASE_OFFSET_STEP } from './timebase.ts'
export type { PlanOptions, TimebasePlan, TimebasePoint, TimebaseSample } from './timebase.ts'
export { parseTimebase, serializeTimebase } from './state.ts'
export type { TimebaseState, VcpuTimers } from './state.ts'

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
  RestoreIncompleteError,
  TimebaseDivergedError,
  TimebaseDowntimeError,
  TimebaseFrequencyError,
  TimebaseNotAppliedError,
  VmstateError,
} from './errors.ts'
export type {
  ErrorCode,
  KvmErrorContext,
  NotRestored,
  NotWritten,
  VmstateErrorCode,
} from './errors.ts'

export type { Kernel } from './kernel.ts'
export { NO_REGISTER, OneRegBatch } from './batch.ts'
export { NativeKernel } from './native.ts'
export { SoftwareKernel } from './software.ts'
export type { SoftwareKernelOptions } from './software.ts'
export type { SoftwareClock, SoftwareClockOptions } from './software/clock.ts'
export type { ModelledLinux, ModelledMachine } from './software/machine.ts'
export type { Fault, Operation } from './faults.ts'
