export { readQemuStream, readQemuTimebase } from './stream/read.ts'
export type {
  QemuCommand,
  QemuDevice,
  QemuIntegers,
  QemuRamBlock,
  QemuSection,
  QemuStream,
  QemuStreamOptions,
  QemuStreamSource,
  QemuStruct,
  QemuTimebase,
  QemuValue,
} from './stream/types.ts'

export { VmstateError } from '../errors.ts'
export type { VmstateErrorCode } from '../errors.ts'
