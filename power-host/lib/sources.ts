import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { cached, cacheRoot, keyOf } from './cache.ts'
import { exitStatus, Failure } from './failure.ts'
import { Archive, ListRefused, Unavailable, type Place } from './packages.ts'
import { note } from './progress.ts'

/** The user's choice of where packages come from. */
export interface Origin {
  /** A suite of Debian, such as "trixie": then only this one is tried. See also {@link chosenOrigin}. */
  suite?: string | undefined
  /** The address of a Debian mirror. By default, POWER_HOST_MIRROR, or that of this system's apt. */
  mirror?: string | undefined
  /** The file with the keys that the mirror's lists are signed with. By default, Debian's. */
  keyring?: string | undefined
}

/** The environment variables for a mirror, for everything that is fetched, and a suite, for the host itself. */
export const mirrorVariable = 'POWER_HOST_MIRROR'
export const suiteVariable = 'POWER_HOST_SUITE'

/** The default origin of the host's own parts. It is not that of the QEMU that runs the host. */
export function chosenOrigin(): Origin {
  const suite = process.env[suiteVariable]
  return suite ? { suite } : {}
}

/** A part that is made from Debian packages, such as the userland or a kernel. */
export interface Ingredient {
  /** The first part of the names of its entries in the cache. */
  name: string
  /** The name for messages, such as "the userland". */
  what: string
  architecture: string
  /** The package whose version decides whether a suite is accepted. */
  package: string
  /** The accepted versions: "20.19" means that one and all later ones, "6.1." all that begin like this. */
  version?: { least: string } | { series: string }
  /** The suites to try, in order of preference. */
  suites: readonly string[]
  /** Whether packages are fetched together with their dependencies. */
  complete: boolean
  /** Everything else that the cache entry depends on, such as a number that changes with the code that builds it. */
  recipe: { version: number; [part: string]: unknown }
}

/** An entry of the cache, and where it was fetched from. */
export interface Fetched {
  directory: string
  suite: string
  /** The version of the package that decides. */
  version: string
}

/**
 * Returns the cache entry of a part. If there is none yet, it is built from the first suite whose list of
 * packages is complete and that has the package in an accepted version. If no suite has, the first with a list
 * from an earlier run is used: the mirror may still have its packages.
 */
export async function fetched(
  ingredient: Ingredient,
  origin: Origin,
  build: (archive: Archive, directory: string) => Promise<void>,
): Promise<Fetched> {
  const suites = origin.suite === undefined ? ingredient.suites : [suiteName(origin.suite)]
  const entries = await Promise.all(suites.map((suite) => entryOf(ingredient, origin, suite)))
  const there = entries.find(({ name }) => existsSync(path.join(cacheRoot(), name)))
  if (there !== undefined) return read(path.join(cacheRoot(), there.name))
  const refusals: string[] = []
  const refused = new Set<string>()
  for (const lists of ['whole', 'earlier'] as const) {
    for (const { name, place } of entries) {
      if (lists === 'earlier' && !refused.has(name)) continue
      try {
        const work = (directory: string): Promise<void> =>
          Archive.use(place, lists, async (archive) => {
            const version = await fittingVersion(ingredient, archive)
            note(chosen(ingredient, place.suite, version, lists, refusals))
            await build(archive, directory)
            await writeFile(path.join(directory, 'source.json'), source(place.suite, version))
          })
        return await read(await cached(name, work))
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error
        if (error instanceof ListRefused) refused.add(name)
        const refusal = `${place.suite}: ${error.message}`
        if (!refusals.includes(refusal)) refusals.push(refusal)
      }
    }
  }
  const tried = refusals.map((refusal) => `\n    ${refusal}`).join('')
  throw new Failure(`no suite of Debian has ${ingredient.what} at the moment:${tried}
Try again later, or choose another mirror with --mirror or POWER_HOST_MIRROR.`)
}

/** The name of an entry has the suite and a hash of the mirror, so that each mirror has its own entries. */
async function entryOf(
  ingredient: Ingredient,
  origin: Origin,
  suite: string,
): Promise<{ name: string; place: Place }> {
  const { name, architecture, package: decisive, version, complete, recipe } = ingredient
  const mirror = origin.mirror ?? process.env[mirrorVariable]
  const place = {
    suite,
    architecture,
    complete,
    ...(mirror ? { mirror: mirrorAddress(mirror) } : {}),
    ...(origin.keyring === undefined ? {} : { keyring: origin.keyring }),
  }
  const hash = await keyOf({ texts: [JSON.stringify({ place, decisive, version, recipe })] })
  return { name: `${name}-${suite}-${hash}`, place }
}

async function fittingVersion(ingredient: Ingredient, archive: Archive): Promise<string> {
  const { package: name, version: wanted } = ingredient
  const version = await archive.version(name)
  if (wanted === undefined) return version
  const fits =
    'series' in wanted
      ? upstream(version).startsWith(`${wanted.series}.`)
      : compareVersions(upstream(version), wanted.least) >= 0
  if (fits) return version
  const needed = 'series' in wanted ? wanted.series : `${wanted.least} or later`
  throw new Unavailable(`it has ${name} ${version}, and ${needed} is needed`)
}

/** A version without Debian's epoch and revision. */
export function upstream(version: string): string {
  return /^(?:\d+:)?(\d+(?:\.\d+)*)/.exec(version)?.[1] ?? version
}

/** Compares two versions; negative if the first one is older. */
export function compareVersions(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true })
}

function chosen(
  { what, package: name }: Ingredient,
  suite: string,
  version: string,
  lists: 'whole' | 'earlier',
  refusals: readonly string[],
): string {
  const earlier = lists === 'earlier' ? ', by the list of an earlier run' : ''
  const because = refusals.length > 0 ? `, because of ${refusals.join('; ')}` : ''
  return `${what} from Debian ${suite} (${name} ${version})${earlier}${because}`
}

function source(suite: string, version: string): string {
  return `${JSON.stringify({ suite, version })}\n`
}

async function read(directory: string): Promise<Fetched> {
  const text = await readFile(path.join(directory, 'source.json'), 'utf8')
  return { directory, ...(JSON.parse(text) as { suite: string; version: string }) }
}

/** Checks a suite or address, since both become part of a line of sources.list, in which spaces separate fields. */
export function suiteName(text: string): string {
  if (/^[a-z][a-z0-9-]*$/.test(text)) return text
  throw new Failure(
    `"${text}" is not the name of a Debian suite, such as trixie, bookworm-backports or sid`,
    exitStatus.usage,
  )
}

export function mirrorAddress(text: string): string {
  if (/^(https?:\/\/|file:\/|mirror\+\w+:\/)[^\s[\]]+$/.test(text)) return text.replace(/\/+$/, '')
  throw new Failure(
    `"${text}" is not the address of a mirror: it begins with http://, https:// or file:/ and ends` +
      ' before /dists',
    exitStatus.usage,
  )
}
