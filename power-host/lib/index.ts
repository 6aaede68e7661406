/**
 * Emulated POWER hosts with real KVM, for programs that make and run them themselves.
 *
 * @packageDocumentation
 */

// A host, and what it runs.
export { DEFAULT_MEMORY, runOnHost, type Job } from './host.ts'
export { runWired } from './wire.ts'
export { folderArchives, FOLDER_ON_HOST } from './folder.ts'
export type { Ended } from './boot.ts'
export { Keyboard, typedOn } from './keyboard.ts'
export {
  allMachines,
  cpus,
  inRealTime,
  machine,
  machineNames,
  runsGuests,
  type Cpu,
  type Machine,
  type MachineName,
} from './machine.ts'
export { kernelNames, type KernelName } from './kernel.ts'

// What a host is made from.
export { pack } from './image.ts'
export { cached, exclusively, keyOf, withTemporary } from './cache.ts'
export { fetchedProgram, startOf, tool, type ProgramRecipe, type Tool } from './tools.ts'
export { fetchedQemu, qemu, type FetchedQemu, type Qemu } from './qemu.ts'
export { kvmHeader } from './header.ts'
export { chosenOrigin, suiteName, type Fetched, type Ingredient, type Origin } from './sources.ts'
export { prepare } from './prepare.ts'
export { userlandArchive } from './userland.ts'
export {
  allPrograms,
  coveragePrograms,
  hostPrograms,
  prebuildPrograms,
  requirePrograms,
  type Program,
} from './requirements.ts'

// For a program with a command line of its own.
export {
  addHostOptions,
  cacheHelp,
  exitStatusHelp,
  machinesHelp,
  seconds,
  timeoutOption,
  type HostOptions,
} from './options.ts'
export { runProgram } from './program.ts'
export { exitStatus, Failure } from './failure.ts'
export { quote } from './command.ts'
export { interrupted } from './interrupt.ts'
export { beginStage, note, stage } from './progress.ts'
export { run, type Output, type RunOptions } from './run.ts'
