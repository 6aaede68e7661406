import { run } from '../power-host/lib/run.ts'

/**
 * The newest versions that the package's binaries may need, by the kind of symbol: those of the oldest
 * systems that Node 20 itself runs on, glibc 2.28 and GCC 8. C++'s library is linked into them.
 */
const newest: Readonly<Record<string, string>> = { GLIBC: '2.28', GCC: '8.0' }

/** The newest version of each kind of symbol that a binary needs: `GLIBC_2.17`, `GCC_3.0` ... */
export async function neededVersions(binary: string): Promise<string[]> {
  const { stdout } = await run('readelf', ['--version-info', '--wide', binary])
  const found = new Map<string, string>()
  for (const [, kind = '', version = ''] of stdout.matchAll(/Name: ([A-Z]+)_([\d.]+)/g)) {
    const seen = found.get(kind)
    if (seen === undefined || isNewer(version, seen)) found.set(kind, version)
  }
  if (!found.has('GLIBC')) throw new Error(`readelf names no version of glibc in ${binary}`)
  return [...found].map(([kind, version]) => `${kind}_${version}`).sort()
}

/** Those of them that are newer than that, or unknown. */
export function newerThanNodeNeeds(needed: readonly string[]): string[] {
  return needed.filter((name) => {
    const [kind = '', version = ''] = name.split('_')
    const allowed = newest[kind]
    return allowed === undefined || isNewer(version, allowed)
  })
}

function isNewer(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) > 0
}
