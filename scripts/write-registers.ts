import { readFileSync, writeFileSync } from 'node:fs'
import { withRegisterTable } from './register-table.ts'

// Puts the table of registers into docs/registers.md: npm run docs -- registers.
const page = new URL('../docs/registers.md', import.meta.url)
writeFileSync(page, withRegisterTable(readFileSync(page, 'utf8')))
