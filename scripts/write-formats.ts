import { readFileSync, writeFileSync } from 'node:fs'
import { withDumps } from './format-dumps.ts'

// Puts the dumps that the code makes into docs/formats.md: npm run docs -- formats.
const page = new URL('../docs/formats.md', import.meta.url)
writeFileSync(page, withDumps(readFileSync(page, 'utf8')))
