import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Ingredient, Origin } from '../lib/sources.ts'
import { DebianArchive, type State } from './debian-archive.ts'

// apt itself, with an archive of our own. A busy machine takes long to run apt a few times.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

let archive: DebianArchive
let cache: string
let said: string

beforeAll(async () => {
  archive = new DebianArchive()
  await archive.start()
})

afterAll(async () => {
  await archive.stop()
})

beforeEach(() => {
  cache = mkdtempSync(path.join(tmpdir(), 'power-host-cache-'))
  vi.stubEnv('XDG_CACHE_HOME', cache)
  vi.stubEnv('POWER_HOST_MIRROR', undefined)
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text)
    return true
  })
  said = ''
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  rmSync(cache, { recursive: true })
})

const sample: Ingredient = {
  ...{ name: 'sample', what: 'the sample', architecture: 'ppc64el', package: 'sample' },
  ...{ suites: ['trixie', 'forky'], complete: false, recipe: { version: 1 } },
}

/** As another run of the program does it: a process updates each list once. */
async function fetchSample(ingredient: Ingredient = sample, more: Origin = {}) {
  vi.resetModules()
  const { fetched } = await import('../lib/sources.ts')
  const origin = { mirror: archive.mirror, keyring: archive.keyring, ...more }
  const entry = await fetched(ingredient, origin, (packages, directory) =>
    packages.unpack(['sample'], directory),
  )
  const content = path.join(entry.directory, 'usr/share/sample/version')
  return { ...entry, content: readFileSync(content, 'utf8') }
}

const publish = (trixie: State, forky: State, versions: [string, string] = ['1.0-1', '2.0-1']) => {
  archive.publish('trixie', trixie, versions[0])
  archive.publish('forky', forky, versions[1])
}

const refusal = "apt refuses the mirror's list of packages: "
const reasons = {
  damaged: `${refusal}Packages: File has unexpected size (`,
  absent: /The repository '\S+ trixie Release' does not have a Release file/,
}

describe('the suite that is taken', () => {
  test('is the first while its list is whole, and a line says so', async () => {
    publish('whole', 'whole')
    await expect(fetchSample()).resolves.toMatchObject({ suite: 'trixie', content: '1.0-1' })
    expect(said).toContain('\npower: the sample from Debian trixie (sample 1.0-1)\n')
  })

  test.each(['whole', 'damaged', 'absent'] as const)(
    'is the first while the list of the second is %s: nothing of it is fetched',
    async (state) => {
      publish('whole', state)
      await expect(fetchSample()).resolves.toMatchObject({ suite: 'trixie' })
      expect(said).not.toContain('forky')
    },
  )

  test.each(['damaged', 'absent'] as const)(
    'is the second while the list of the first is %s, and the line says why',
    async (state) => {
      publish(state, 'whole')
      await expect(fetchSample()).resolves.toMatchObject({ suite: 'forky', content: '2.0-1' })
      const because = /from Debian forky \(sample 2\.0-1\), because of trixie: (.*)\n/.exec(
        said,
      )?.[1]
      expect(because).toMatch(reasons[state])
    },
  )

  test.each([
    ['damaged', 'damaged'],
    ['damaged', 'absent'],
    ['absent', 'damaged'],
    ['absent', 'absent'],
  ] as const)('is none where they are %s and %s: the error says why for each', async (one, two) => {
    publish(one, two)
    const ended = fetchSample()
    await expect(ended).rejects.toThrow('no suite of Debian has the sample at the moment:')
    await expect(ended).rejects.toThrow(
      /\n {4}trixie: .*\n {4}forky: .*\nTry again later, or choose/,
    )
    await expect(ended).rejects.toThrow(reasons[one])
  })

  test('is the second if the first has another version than is needed', async () => {
    publish('whole', 'whole')
    const newer = { ...sample, version: { least: '1.19' } }
    await expect(fetchSample(newer)).resolves.toMatchObject({ suite: 'forky' })
    expect(said).toContain('because of trixie: it has sample 1.0-1, and 1.19 or later is needed')
  })

  test('is the second if the first lacks the package that is downloaded', async () => {
    publish('whole', 'whole')
    const lacking = { ...sample, package: 'other' }
    await expect(fetchSample(lacking)).rejects.toThrow('trixie: it has no package other')
  })
})

describe('a list of an earlier run', () => {
  test('does where no suite is whole', async () => {
    publish('whole', 'absent')
    await fetchSample()
    publish('damaged', 'absent', ['1.1-1', '2.0-1'])
    const changed = { ...sample, recipe: { version: 2 } }
    await expect(fetchSample(changed)).resolves.toMatchObject({ suite: 'trixie', content: '1.0-1' })
    expect(said).toContain('(sample 1.0-1), by the list of an earlier run, because of trixie: ')
  })

  test('does not where another suite is whole', async () => {
    publish('whole', 'absent')
    await fetchSample()
    publish('damaged', 'whole', ['1.1-1', '2.0-1'])
    const changed = { ...sample, recipe: { version: 2 } }
    await expect(fetchSample(changed)).resolves.toMatchObject({ suite: 'forky' })
  })
})

describe('what is in the cache', () => {
  test('is used without a look at the mirror, whichever suite it is from', async () => {
    publish('damaged', 'whole')
    const first = await fetchSample()
    publish('absent', 'absent')
    said = ''
    await expect(fetchSample()).resolves.toEqual(first)
    expect(said).toBe('')
  })

  test('is not used for another suite or mirror that is chosen', async () => {
    publish('whole', 'whole')
    await expect(fetchSample()).resolves.toMatchObject({ suite: 'trixie' })
    const forky = await fetchSample(sample, { suite: 'forky' })
    expect(forky).toMatchObject({ suite: 'forky', content: '2.0-1' })
    publish('whole', 'whole', ['3.0-1', '4.0-1'])
    const mirror = archive.mirror.replace('127.0.0.1', 'localhost')
    await expect(fetchSample(sample, { mirror })).resolves.toMatchObject({ content: '3.0-1' })
    vi.stubEnv('POWER_HOST_MIRROR', `${mirror}/`)
    const same = await fetchSample(sample, { mirror: undefined })
    expect(same.content).toBe('3.0-1')
    await expect(fetchSample()).resolves.toMatchObject({ content: '1.0-1' })
  })
})

test('a chosen suite has no alternative', async () => {
  publish('damaged', 'whole')
  const ended = fetchSample(sample, { suite: 'trixie' })
  await expect(ended).rejects.toThrow(/the moment:\n {4}trixie: .*\nTry again later/)
})

test.each([{ suite: 'trixie main' }, { mirror: 'ftp://mirror.test' }, { mirror: 'http://a b' }])(
  'the choice %j is refused before anything is fetched',
  async (choice) => {
    await expect(fetchSample(sample, choice)).rejects.toMatchObject({ name: 'Failure', status: 2 })
    expect(existsSync(path.join(cache, 'power-host'))).toBe(false)
  },
)

test('a download that was cut in the middle is gone on with', async () => {
  publish('whole', 'absent')
  archive.downloadsFrom.length = 0
  archive.breakAfter = 100_000
  await expect(fetchSample()).resolves.toMatchObject({ suite: 'trixie', content: '1.0-1' })
  expect(archive.downloadsFrom).toEqual([0, expect.toSatisfy((from: number) => from > 0)])
})
