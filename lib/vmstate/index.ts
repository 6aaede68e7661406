/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
export { vmstate } from './description.ts'
export type { VmstateSource } from './description.ts'
export type { DestinationOf, StateOf } from './types.ts'
export {
  array,
  bool,
  buffer,
  equal,
  int16,
  int32,
  int64,
  int8,
  since,
  struct,
  structPointer,
  uint16,
  uint32,
  uint64,
  uint8,
  unused,
  when,
} from './fields.ts'
export type {
  Condition,
  Count,
  ElementKind,
  FieldKind,
  Fields,
  Subsections,
  VmstateDescription,
} from './kinds.ts'
export { decode } from './decode.ts'
export type { DecodeOptions } from './decode.ts'
export { encode } from './encode.ts'
export type { EncodeOptions } from './encode.ts'
export type { VmstateReader } from './reader.ts'

export { cpu, cpuTimebase } from './cpu.ts'
export { spapr, timebase } from './spapr.ts'
export {
  cpuTimebaseToState,
  qemuTimebaseToState,
  stateToCpuTimebase,
  stateToQemuTimebase,
} from './timebase-state.ts'
export type {
  BeyondCpuTimebase,
  BeyondQemuTimebase,
  CpuTimebase,
  QemuTimebaseFields,
} from './timebase-state.ts'

export { readQemuStream, readQemuTimebase } from './stream/read.ts'
export type {
  QemuCommand,
  QemuDevice,
  QemuIntegers,
  QemuLibvirtFormat,
  QemuLibvirtImage,
  QemuRamBlock,
  QemuSection,
  QemuSnapshot,
  QemuStream,
  QemuStreamOptions,
  QemuStreamSource,
  QemuStruct,
  QemuTimebase,
  QemuValue,
} from './stream/types.ts'

export { VmstateError } from '../errors.ts'
export type { VmstateErrorCode } from '../errors.ts'
