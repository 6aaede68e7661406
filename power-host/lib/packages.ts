import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { setUpApt, type Place } from './apt.ts'
import { cacheRoot, exclusively, keyOf, withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { interrupted } from './interrupt.ts'
import { dependenciesOf } from './kernel-packages.ts'
import { megabytes, stage } from './progress.ts'
import { run, type Output } from './run.ts'

export type { Place } from './apt.ts'

/** A suite cannot be used at the moment, and the message says why. Another suite may work. */
export class Unavailable extends Failure {}

/** apt refuses the mirror's list of packages. There may be the list of an earlier run. */
export class ListRefused extends Unavailable {}

/** The directories in which this process has updated the list of packages, with apt's refusal if it refused. */
const updates = new Map<string, Unavailable | 'whole'>()

/**
 * The packages of a Debian suite for one architecture. The system's apt fetches them into directories of their
 * own, without changing the system's packages or its list of architectures.
 */
export class Archive {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /**
   * Runs take turns, since the next run continues an interrupted download.
   *
   * While a mirror is being updated, which may take days, its lists do not match their signatures. apt refuses
   * them and keeps the old ones, which are used if the work accepts the list of an `earlier` run.
   */
  static async use<T>(
    place: Place,
    lists: 'whole' | 'earlier',
    work: (archive: Archive) => Promise<T>,
  ): Promise<T> {
    const directory = await aptFolder(place)
    return exclusively(path.basename(directory), async () => {
      const archive = new Archive(directory)
      const update = updates.get(directory) ?? (await archive.#update(place))
      updates.set(directory, update)
      if (update !== 'whole' && (lists === 'whole' || !(await archive.#hasPackages()))) throw update
      return work(archive)
    })
  }

  async #update(place: Place): Promise<Unavailable | 'whole'> {
    const { suite, architecture } = place
    await setUpApt(this.#directory, place)
    const what = `fetching Debian's list of packages (${suite}, ${architecture})`
    try {
      await stage(what, () => this.#apt('apt-get', ['update']))
      return 'whole'
    } catch (error) {
      return new ListRefused(`apt refuses the mirror's list of packages: ${complaint(error)}`)
    }
  }

  async #hasPackages(): Promise<boolean> {
    const { stdout } = await this.#apt('apt-cache', ['pkgnames'])
    return stdout !== ''
  }

  /** The version of a package that would be fetched. */
  async version(name: string): Promise<string> {
    const version = /^Version: (.*)/m.exec(await this.#record(name))?.[1]
    if (version === undefined) throw new Unavailable(`it has no package ${name}`)
    return version
  }

  /** The names of the packages that a package depends on, in its newest version. */
  async dependencies(name: string): Promise<string[]> {
    return dependenciesOf(await this.#record(name))
  }

  async #record(name: string): Promise<string> {
    const show = ['show', '--no-all-versions', name]
    return (await this.#apt('apt-cache', show).catch(missing(name))).stdout
  }

  /** Unpacks these packages without their dependencies. */
  unpack(names: string[], into: string): Promise<void> {
    return this.#unpack(['download', ...names], names.join(', '), into)
  }

  /** Unpacks these packages and all their dependencies. */
  unpackWithDependencies(names: string[], into: string): Promise<void> {
    const command = ['install', '--yes', '--download-only', ...names]
    return this.#unpack(command, `${names.join(', ')} and what they need`, into)
  }

  async #unpack(command: string[], what: string, into: string): Promise<void> {
    const archives = path.join(this.#directory, 'archives')
    const downloads = await this.#planned(command)
    const size = megabytes(downloads.reduce((sum, { bytes }) => sum + bytes, 0))
    try {
      await stage(`downloading ${what} (${size})`, () => this.#apt('apt-get', command, archives))
    } catch (error) {
      throw new Unavailable(`apt cannot download ${what}: ${complaint(error)}`)
    }
    await stage(`unpacking ${what}`, async () => {
      for (const { file } of downloads) {
        await run('dpkg-deb', ['--extract', path.join(archives, file), into])
      }
    })
    await rm(archives, { recursive: true })
    await mkdir(path.join(archives, 'partial'), { recursive: true })
  }

  /** The files that apt would fetch if it had none. Its lines are: 'address' file bytes hash. */
  async #planned(command: string[]): Promise<{ file: string; bytes: number }[]> {
    const { stdout } = await withTemporary(async (empty) => {
      await mkdir(path.join(empty, 'partial'))
      const nothingThere = `-oDir::Cache::Archives=${empty}`
      return this.#apt('apt-get', [nothingThere, '--print-uris', ...command], empty)
    })
    return Array.from(stdout.matchAll(/^'\S+' (\S+) (\d+) /gm), ([, file = '', bytes]) => ({
      file,
      bytes: Number(bytes),
    }))
  }

  #apt(program: 'apt-get' | 'apt-cache', args: string[], cwd = this.#directory): Promise<Output> {
    const configuration = path.join(this.#directory, 'apt.conf')
    return run(program, [`--config-file=${configuration}`, ...args], { cwd })
  }
}

/** apt's complaint in one line. Other errors are thrown: an interrupt by the user, or a bug of this program. */
function complaint(error: unknown): string {
  interrupted.throwIfAborted()
  if (!(error instanceof Failure)) throw error
  const line = /^ *E: (.*)/m.exec(error.message)?.[1] ?? error.message
  const file = (_: string, address: string) => `${path.posix.basename(address)}: `
  return line.replace(/^Failed to fetch (\S+) +/, file).replace(/ +\[IP: .*\]$/, '')
}

/** The error for a package that apt-cache does not know, for which it fails. */
function missing(name: string) {
  return (error: unknown): never => {
    interrupted.throwIfAborted()
    if (!(error instanceof Failure)) throw error
    throw new Unavailable(`it has no package ${name}`)
  }
}

/** The directory in which apt works for a place: its lists of packages, and archives that it downloads. */
async function aptFolder(place: Place): Promise<string> {
  const key = await keyOf({ texts: [JSON.stringify(place)] })
  return path.join(cacheRoot(), 'apt', `apt-${place.suite}-${place.architecture}-${key}`)
}
