import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { isInstalled } from './requirements.ts'
import { upstream, type Origin } from './sources.ts'
import { fetchedProgram, startOf, type Tool } from './tools.ts'

/** The command that starts a QEMU for POWER. QEMU's own arguments follow `args`. */
export interface Qemu extends Tool {
  env: NodeJS.ProcessEnv
}

export interface FetchedQemu extends Qemu {
  /** The version, such as "10.0.13". */
  version: string
  /** The suite that this QEMU is from. */
  suite: string
}

const program = 'qemu-system-ppc64'

/** The suites to try. In 2026 they have QEMU 10.0 twice, 7.2, and 11.1 twice. */
const suites = ['trixie', 'bookworm-backports', 'bookworm', 'forky', 'sid']

/** QEMU's firmware, and the modules that it loads. */
const data = /^usr\/(share|lib\/[^/]+)\/qemu$/

/** The QEMU of this machine, or one in the cache if it has none. */
export async function qemu(): Promise<Qemu> {
  if (isInstalled(program)) return { command: program, args: [], env: process.env }
  return fetchedQemu()
}

/**
 * A QEMU from Debian for this machine's processor, in the cache, with its libraries and firmware. It needs
 * nothing installed. `suite` chooses one of Debian's suites, and with it a version.
 *
 * @example
 * const { command, args, env } = await fetchedQemu({ suite: 'forky' })
 * spawn(command, [...args, '-M', 'pseries', …], { env })
 */
export async function fetchedQemu(origin: Origin = {}): Promise<FetchedQemu> {
  const recipe = { program, package: 'qemu-system-ppc', suites, data }
  const { directory, suite, version } = await fetchedProgram(recipe, origin)
  const { command, args } = await startOf(directory, program)
  const libraries = await readdir(path.join(directory, 'usr/lib'))
  const modules = libraries.map((name) => path.join(directory, 'usr/lib', name, 'qemu'))
  return {
    command,
    // QEMU searches for its firmware beside its program, which is the dynamic loader here.
    args: [...args, '-L', path.join(directory, 'usr/share/qemu')],
    env: { ...process.env, QEMU_MODULE_DIR: modules.find(existsSync) },
    version: upstream(version),
    suite,
  }
}
