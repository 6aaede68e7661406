import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { isInstalled } from './requirements.ts'
import { run } from './run.ts'
import { compareVersions, upstream, type Origin } from './sources.ts'
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

/** The suites to try, with the oldest QEMU that each has had. */
const suites = {
  trixie: '10.0',
  'bookworm-backports': '10.0',
  bookworm: '7.2',
  forky: '11.1',
  sid: '11.1',
}

/** QEMU's firmware, and the modules that it loads. */
const data = /^usr\/(share|lib\/[^/]+)\/qemu$/

/** The version of the QEMU that is installed on this machine, such as "7.2.22". */
async function installedVersion(): Promise<string> {
  const { stdout } = await run(program, ['--version'])
  return /version (\d+(?:\.\d+)*)/.exec(stdout)?.[1] ?? '0'
}

/** The QEMU of this machine; if it has none, or only one that is older than `least`, one in the cache. */
export async function qemu(least = '0'): Promise<Qemu> {
  if (isInstalled(program) && compareVersions(await installedVersion(), least) >= 0) {
    return { command: program, args: [], env: process.env }
  }
  return fetchedQemu({}, least)
}

/**
 * A QEMU from Debian for this machine's processor, in the cache, with its libraries and firmware. It needs
 * nothing installed. `suite` chooses one of Debian's suites, and with it a version; `least` is the oldest
 * version that will do.
 *
 * @example
 * const { command, args, env } = await fetchedQemu({ suite: 'forky' })
 * spawn(command, [...args, '-M', 'pseries', …], { env })
 */
export async function fetchedQemu(origin: Origin = {}, least = '0'): Promise<FetchedQemu> {
  const fitting = Object.entries(suites).filter(([, its]) => compareVersions(its, least) >= 0)
  const recipe = {
    program,
    package: 'qemu-system-ppc',
    suites: fitting.map(([name]) => name),
    data,
  }
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
