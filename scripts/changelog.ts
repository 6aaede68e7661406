/** Reads and changes CHANGELOG.md, which has the form of Keep a Changelog 1.1.0. */

export class ChangelogError extends Error {
  override readonly name = 'ChangelogError'
}

const UNRELEASED = '## [Unreleased]'
const CHANGES = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']

/** Returns the text of the section "Unreleased". */
export function unreleased(changelog: string): string {
  const [, rest] = changelog.split(`\n${UNRELEASED}\n`)
  if (rest === undefined) throw new ChangelogError(`CHANGELOG.md has no "${UNRELEASED}"`)
  const [section = ''] = rest.split(/^## /m)
  return section.trim()
}

/** Returns the changelog with the unreleased changes under a version, and an empty section "Unreleased". */
export function releaseIn(changelog: string, version: string, date: string): string {
  const section = unreleased(changelog)
  if (section === '') throw new ChangelogError('CHANGELOG.md has no change since the last release')
  if (changelog.includes(`\n## [${version}]`)) {
    throw new ChangelogError(`CHANGELOG.md has version ${version} already`)
  }
  return changelog.replace(UNRELEASED, `${UNRELEASED}\n\n## [${version}] - ${date}`)
}

/** Lists where a changelog departs from that form; empty if nowhere. */
export function faultsIn(changelog: string): string[] {
  const faults: string[] = []
  if (!changelog.startsWith('# Changelog\n')) faults.push('it begins with "# Changelog"')
  const sections = [...changelog.matchAll(/^## (.*)$/gm)].map(([, title = '']) => title)
  if (sections[0] !== '[Unreleased]') faults.push('its first section is "## [Unreleased]"')
  for (const title of sections.slice(1)) {
    if (!/^\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$/.test(title)) {
      faults.push(`a section is "## [1.2.3] - 2026-01-31", not "## ${title}"`)
    }
  }
  for (const [, kind = ''] of changelog.matchAll(/^### (.*)$/gm)) {
    if (!CHANGES.includes(kind)) faults.push(`"### ${kind}" is none of ${CHANGES.join(', ')}`)
  }
  return faults
}
