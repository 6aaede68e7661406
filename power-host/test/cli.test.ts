import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { createPrepareProgram, createProgram } from '../lib/cli.ts'

const read = (name: string): string =>
  readFileSync(path.resolve(import.meta.dirname, '..', name), 'utf8')

test('the man page and the README name every option', () => {
  const options = [createProgram(), createPrepareProgram()].flatMap(({ options }) => options)
  const names = options.flatMap(({ long }) => long ?? [])
  expect(names).toContain('--memory')
  const man = read('man/power-host.1').replaceAll('\\-', '-')
  const readme = read('README.md')
  expect(names.filter((name) => !man.includes(name))).toEqual([])
  expect(names.filter((name) => name !== '--all' && !readme.includes(name))).toEqual([])
})
