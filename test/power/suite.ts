import { type KernelName, type Machine, runOnHost } from 'power-host'
import { project } from './project.ts'
import { faultsOfQemu } from './qemu-faults.ts'
import { instructionClockVariable } from '../support/emulated.ts'
import type { Result } from './host/reporter.ts'

export interface SuiteRun {
  machine: Machine
  kernel: KernelName
  /** Vitest's own: names of files, and options. */
  args: readonly string[]
  timeoutSeconds: number
}

export interface SuiteEnded {
  status: number
  /** It is missing where Vitest did not come to its end. */
  result: Result | undefined
}

/** Runs the project's tests on an emulated host. */
export async function runSuite(suite: SuiteRun): Promise<SuiteEnded> {
  const { machine, kernel, args, timeoutSeconds } = suite
  const command = vitestCommand(args)
  const { env, ...files } = project('suite')
  const job = {
    ...{ machine, kernel, ...files, command, timeoutSeconds },
    env: {
      ...env,
      ...(machine.counts === true ? { [instructionClockVariable]: '1' } : {}),
      ...(await faultsOfQemu(machine)),
    },
  }
  const { status, result } = await runOnHost(job)
  return { status, result: result === undefined ? undefined : (JSON.parse(result) as Result) }
}

/** The tests of the suite that are about KVM itself, the same for the kernel and for the model of it. */
export const conformance = 'test/kernel/conformance'

/** Whatever reporter is asked for, ours is there as well. */
export function vitestCommand(args: readonly string[]): string[] {
  const chosen = args.some((arg) => /^--reporters?(=|$)/.test(arg))
  return [
    ...['node', 'node_modules/vitest/vitest.mjs', 'run'],
    ...['--config', 'test/power/host/vitest.config.ts'],
    ...(chosen ? [] : ['--reporter=default']),
    '--reporter=./test/power/host/reporter.ts',
    ...args,
  ]
}
