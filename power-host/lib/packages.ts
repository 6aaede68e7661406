import { copyFile, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { setUpApt } from './apt.ts'
import { cached, cacheRoot, exclusively, keyOf, withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { dependenciesOf } from './kernel-packages.ts'
import { megabytes, note, stage } from './progress.ts'
import { run, type Output } from './run.ts'

export type Suite = 'bookworm' | 'bookworm-backports' | 'forky' | 'sid'

const updated = new Set<Suite>()

/**
 * The ppc64el packages of a Debian suite, fetched by the system's apt into directories of our own:
 * the system's list of architectures and its packages stay as they are.
 */
export class Archive {
  readonly #directory: string

  private constructor(suite: Suite) {
    this.#directory = aptFolder(suite)
  }

  /** Runs take turns, since an interrupted download is gone on with by the next run. */
  static use<T>(suite: Suite, work: (archive: Archive) => Promise<T>): Promise<T> {
    return exclusively(`apt-${suite}`, async () => {
      const archive = new Archive(suite)
      if (!updated.has(suite)) {
        await stage(`fetching Debian's list of packages (${suite}, ppc64el)`, async () => {
          await setUpApt(archive.#directory, suite)
          await archive.#update()
        })
        updated.add(suite)
      }
      return work(archive)
    })
  }

  /**
   * A mirror that is being brought up to date, which may take it a day, has lists that are not the
   * signed ones. apt refuses them and keeps those it has, whose packages a mirror still has then.
   */
  async #update(): Promise<void> {
    try {
      await this.#apt('apt-get', ['update'])
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const { stdout: known } = await this.#apt('apt-cache', ['pkgnames', 'libc6'])
      if (known === '') {
        throw new Failure(
          `${error.message}\nNo earlier list is there to go on with: try again later.`,
        )
      }
      const reason = /^ *E: (.*)/m.exec(error.message)?.[1] ?? 'apt-get update failed'
      note(`${reason}\npower: going on with the list of an earlier run`)
    }
  }

  /** The names of the packages that a package depends on, in its newest version. */
  async dependencies(name: string): Promise<string[]> {
    const { stdout } = await this.#apt('apt-cache', ['show', '--no-all-versions', name])
    return dependenciesOf(stdout)
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
    await stage(`downloading ${what} (${size})`, () => this.#apt('apt-get', command, archives))
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

/** Where apt keeps a suite's list of packages, if something has been fetched from there before. */
export function packageLists(suite: Suite): string {
  return path.join(aptFolder(suite), 'lists')
}

function aptFolder(suite: Suite): string {
  return path.join(cacheRoot(), 'apt', suite)
}

/** The path of the newest POWER asm/kvm.h that we know Debian to ship, to compare registers with. */
export async function kvmHeader(): Promise<string> {
  const recipe = { suite: 'forky', name: 'linux-libc-dev' } as const
  const entry = await cached(
    `header-${await keyOf({ texts: [JSON.stringify(recipe)] })}`,
    async (directory) => {
      await withTemporary(async (unpacked) => {
        await Archive.use(recipe.suite, (archive) => archive.unpack([recipe.name], unpacked))
        const header = 'usr/include/powerpc64le-linux-gnu/asm/kvm.h'
        await mkdir(path.join(directory, 'asm'))
        await copyFile(path.join(unpacked, header), path.join(directory, 'asm/kvm.h'))
      })
    },
  )
  return path.join(entry, 'asm/kvm.h')
}
