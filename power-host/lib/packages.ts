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

/** Why a suite cannot be used at the moment. Another suite may do. */
export class Unavailable extends Failure {}

/** That apt refuses the mirror's list of packages. The list of an earlier run may be there. */
export class ListRefused extends Unavailable {}

/** The directories whose list of packages this process has updated, and why apt refused to, if it did. */
const updates = new Map<string, Unavailable | 'whole'>()

/**
 * The packages of a Debian suite for one architecture, fetched by the system's apt into directories of
 * our own: the system's list of architectures and its packages stay as they are.
 */
export class Archive {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  /**
   * Runs take turns, since an interrupted download is gone on with by the next run.
   *
   * A mirror that is being brought up to date, which may take it days, has lists that are not the
   * signed ones. apt refuses them and keeps those it has. Work that can do with the list of an
   * `earlier` run is done with what there is.
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

  /** The version that would be fetched. */
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

  /** Unpacks these packages alone. */
  unpack(names: string[], into: string): Promise<void> {
    return this.#unpack(['download', ...names], names.join(', '), into)
  }

  /** Unpacks these packages and all that they depend on. */
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

  /** What apt would fetch, were nothing there yet. Its lines are: 'address' file bytes hash. */
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

/** What apt complains of, in a line. An end that the user wished for, or a mistake of ours, is thrown. */
function complaint(error: unknown): string {
  interrupted.throwIfAborted()
  if (!(error instanceof Failure)) throw error
  const line = /^ *E: (.*)/m.exec(error.message)?.[1] ?? error.message
  const file = (_: string, address: string) => `${path.posix.basename(address)}: `
  return line.replace(/^Failed to fetch (\S+) +/, file).replace(/ +\[IP: .*\]$/, '')
}

/** apt-cache fails if it has no such package. */
function missing(name: string) {
  return (error: unknown): never => {
    interrupted.throwIfAborted()
    if (!(error instanceof Failure)) throw error
    throw new Unavailable(`it has no package ${name}`)
  }
}

/** Where apt works for this place, with its lists of packages, and archives on their way. */
async function aptFolder(place: Place): Promise<string> {
  const key = await keyOf({ texts: [JSON.stringify(place)] })
  return path.join(cacheRoot(), 'apt', `apt-${place.suite}-${place.architecture}-${key}`)
}
