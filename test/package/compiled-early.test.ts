import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, inject, it } from 'vitest'
import { run } from 'power-host'

const project = inject('project')

// A build script, which runs before TypeScript does, and so has no types.
const script = path.resolve(import.meta.dirname, '../../scripts/compile-early.mjs')
const { compileEarly } = (await import(script)) as { compileEarly: (text: string) => string }

const program = `
  import { loadTimebase, openHost, parseTimebase, saveTimebase, serializeTimebase } from 'kvm-ppc-onereg'
  const vcpus = [openHost({ backend: 'software' }).createVm().createVcpu(0)]
  function moveOnce() {
    loadTimebase(vcpus, parseTimebase(serializeTimebase(saveTimebase(vcpus))))
  }
  moveOnce()
`

it('the first save and load of a process compile methods, but no functions', async () => {
  await writeFile(path.join(project, 'compiled.mjs'), program)
  const flags = ['--log-function-events', '--no-logfile-per-isolate', '--logfile=functions.log']
  await run(process.execPath, [...flags, 'compiled.mjs'], { cwd: project })
  const log = await readFile(path.join(project, 'functions.log'), 'utf8')
  // Each is: function,full-parse,SCRIPT,START,END,MILLISECONDS,TIMESTAMP,NAME
  const compiled = [...log.matchAll(/^function,full-parse,.*,(.*)$/gm)].map(([, name]) => name)
  const inMove = compiled.slice(compiled.indexOf('moveOnce'))
  expect(inMove).toEqual(expect.arrayContaining(['moveOnce', 'sample']))
  const functions = [
    ...[
      'saveTimebase',
      'guestOf',
      'readTimeRegisters',
      'takeSample',
      'serializeTimebase',
      'timersToJson',
    ],
    ...['parseTimebase', 'readText', 'checkTimebaseState', 'loadTimebase', 'planChecked', 'putAll'],
  ]
  expect(functions.filter((name) => inMove.includes(name))).toEqual([])
})

it('a command keeps its first line, and a function is there before the code that calls it', () => {
  const command =
    '#!/usr/bin/env node\n// lib/cli/main.ts\nconsole.log(one());\n// lib/checks.ts\nfunction one() {\n}\n'
  const early = compileEarly(command)
  expect(early).toMatch(/^#!\/usr\/bin\/env node\n/)
  expect(early.indexOf('var one = (function one() {\n});')).toBeGreaterThan(0)
  expect(early.indexOf('console.log')).toBeGreaterThan(early.indexOf('var one'))
  expect(compileEarly('// lib/cli/main.ts\nfunction two() {\n}\n')).toContain('\nfunction two')
})
