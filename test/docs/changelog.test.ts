import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ChangelogError, faultsIn, releaseIn, unreleased } from '../../scripts/changelog.ts'

const kept = `# Changelog

Words.

## [Unreleased]

### Added

- A thing.

## [0.1.0] - 2026-01-31

### Fixed

- Another.
`

describe('a changelog', () => {
  it('in this project is in the form of Keep a Changelog', () => {
    expect(faultsIn(readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8'))).toEqual(
      [],
    )
  })

  it('says what is unreleased', () => {
    expect(unreleased(kept)).toBe('### Added\n\n- A thing.')
    expect(() => unreleased('# Changelog\n')).toThrow(ChangelogError)
  })

  it('gets a version, and goes on with nothing unreleased', () => {
    const released = releaseIn(kept, '0.2.0', '2026-02-28')
    expect(faultsIn(released)).toEqual([])
    expect(released).toContain(
      '## [Unreleased]\n\n## [0.2.0] - 2026-02-28\n\n### Added\n\n- A thing.\n\n## [0.1.0]',
    )
    expect(() => releaseIn(released, '0.3.0', '2026-03-01')).toThrow(/no change/)
    expect(() => releaseIn(kept, '0.1.0', '2026-03-01')).toThrow(/already/)
  })

  it.each([
    ['# Changes\n\n## [Unreleased]\n', 1],
    [kept.replace('[Unreleased]', 'Unreleased'), 1],
    [kept.replace('2026-01-31', '31.1.2026'), 1],
    [kept.replace('### Fixed', '### Repaired'), 1],
  ])('is told what is not in the form', (changelog, count) => {
    expect(faultsIn(changelog)).toHaveLength(count)
  })
})
