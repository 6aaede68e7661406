import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { manPage } from './man-page.ts'

/** Writes man/kvm-ppc-onereg.1, which test/cli/man.test.ts compares with the help. */
const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string }
const folder = new URL('../man/', import.meta.url)
mkdirSync(folder, { recursive: true })
writeFileSync(new URL('kvm-ppc-onereg.1', folder), manPage(version))
