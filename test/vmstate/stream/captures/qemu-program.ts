import { execFileSync } from 'node:child_process'
import { fetchedQemu } from 'power-host'
import { rdtscOffsets } from './chosen.ts'
import { byVersion } from './versions.ts'

/** A QEMU that can be run here: an installed one, or one from a suite of Debian. */
export interface QemuProgram {
  readonly program: string
  /** In front of all others: a fetched QEMU is run by its own dynamic loader. */
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** The hexadecimal offsets of the instructions that read the cycle counter. */
  readonly rdtsc: readonly string[]
  /** Such as `11.1.3`. */
  readonly version: string
  /** Oldest first, without aliases: `pseries-2.1` … */
  readonly machines: readonly string[]
}

/** The QEMU at a path, or the one of a suite: `sid`. */
export async function qemuProgram(pathOrSuite: string): Promise<QemuProgram> {
  const isPath = pathOrSuite.includes('/')
  const { command, args, env } = isPath
    ? { command: pathOrSuite, args: [], env: process.env }
    : await fetchedQemu({ suite: pathOrSuite })
  const binary = [command, ...args].find((word) => /\/qemu-system-ppc64[^/]*$/.test(word))
  if (binary === undefined) throw new Error(`${pathOrSuite} is not a qemu-system-ppc64`)
  const ask = (question: readonly string[]) =>
    execFileSync(command, [...args, ...question], { encoding: 'utf8', env })
  const [, version = 'unknown'] = /version (\d+\.\d+\.\d+)/.exec(ask(['--version'])) ?? []
  const machines = Array.from(
    ask(['-M', 'help']).matchAll(/^(pseries-\d+\.\d+) /gm),
    ([, name = '']) => name,
  ).sort(byVersion)
  return { program: command, args, env, rdtsc: await rdtscOffsets(binary), version, machines }
}
