import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { manPage } from '../../scripts/man-page.ts'

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')

it('the man page is that of the help (npm run docs -- man)', () => {
  const { version } = JSON.parse(read('package.json')) as { version: string }
  expect(read('man/kvm-ppc-onereg.1')).toBe(manPage(version))
})
