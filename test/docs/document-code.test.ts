import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emulated } from '../support/emulated.ts'
import { documents, root } from '../support/markdown.ts'

/** What a program of a document must print, if more lines are added to it. */
interface Outcome {
  readonly document: string
  /** A part of that program which no other program of the document has. */
  readonly of: string
  /** The lines to add. */
  readonly then?: string
  readonly prints: RegExp
}

const outcomes: readonly Outcome[] = [
  {
    document: 'docs/migration.md',
    of: 'serializeTimebase(saveTimebase(',
    prints: /goes on at \d+,\n\d+ ticks after .*\nvCPU 1 has it too: true\n/,
  },
  {
    document: 'docs/testing.md',
    of: 'new FailingKernel(',
    then: `
      const vcpu = host.createVm().createVcpu(0)
      for (const value of [1n, 2n, 3n]) vcpu.set('DAR', value)
      try { vcpu.set('DAR', 4n) } catch ({ code }) { console.log(code, vcpu.get('DAR')) }`,
    prints: /^EIO 3n\n$/,
  },
  {
    document: 'docs/formats.md',
    of: 'decode(spapr, bytes)',
    then: 'console.log(state.guestTimebase)',
    prints: /^7n\n$/,
  },
  {
    document: 'docs/formats.md',
    of: "readQemuTimebase('guest.migration')",
    then: 'console.log(state.guestTimebase)',
    // The guest was stopped, which is 2^24 more than the value in the stream.
    prints: new RegExp(`^${0xb7e553c5e25223dbn + (1n << 24n)}n\n$`),
  },
  {
    document: 'docs/migration.md',
    of: "downtime: 'freeze'",
    prints: /^true -?\d+n \[\]\n$/,
  },
  {
    document: 'docs/migration.md',
    of: 'subscribe(TIMEBASE_ADJUST_CHANNEL',
    then: `
      import { loadTimebase, openHost, saveTimebase } from 'kvm-ppc-onereg'
      const vcpus = [openHost().createVm().createVcpu(0)]
      loadTimebase(vcpus, saveTimebase(vcpus))`,
    prints: /^TB_OFFSET went from 0 to \d+, by -?[\d.e-]+ s\n$/,
  },
  {
    document: 'docs/migration.md',
    of: 'LOAD_CHANNEL).subscribe(',
    then: `
      import { loadTimebase, openHost, saveTimebase } from 'kvm-ppc-onereg'
      const vcpus = [openHost().createVm().createVcpu(0)]
      loadTimebase(vcpus, saveTimebase(vcpus))`,
    prints: /^1 vCPUs, \d+ ns, -?\d+ ticks\n$/,
  },
  {
    document: 'docs/registers.md',
    of: 'vcpu.getRaw',
    then: 'console.log(DAR, DSISR, refused)',
    prints: /^13835058055282167808n 1073741824 \[\]\n$/,
  },
]

/** A folder of this project, so that a program in it imports the package by its name, as users do. */
let folder: string

beforeAll(() => {
  if (!existsSync(path.join(root, 'dist/vmstate'))) throw new Error('not built: npm run build:lib')
  mkdirSync(path.join(root, 'build'), { recursive: true })
  folder = mkdtempSync(path.join(root, 'build/documents-'))
  const stream = gunzipSync(
    readFileSync(path.join(root, 'test/vmstate/stream/data/good/f-mini.bin.gz')),
  )
  writeFileSync(path.join(folder, 'guest.migration'), stream)
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** Runs a program, which must end well and write nothing to standard error, and returns its output. */
function output(code: string): string {
  const file = path.join(folder, 'block.mjs')
  writeFileSync(file, code)
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, NODE_NO_WARNINGS: '1' },
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

for (const { name, blocks } of documents()) {
  // These programs make no calls to a kernel, and each takes the emulated host half a minute.
  if (emulated && name === 'docs/formats.md') continue
  const programs = blocks.filter(({ language }) => language === 'js')
  const expected = outcomes.filter(({ document }) => document === name)
  if (programs.length + expected.length === 0) continue
  describe(name, () => {
    it.each(programs)(
      'has a program that runs when it is pasted, on line $line',
      ({ code, output: shown }) => {
        const outcome = expected.find(({ of }) => code.includes(of))
        const printed = output(`${code}\n${outcome?.then ?? ''}`)
        if (outcome) expect(printed).toMatch(outcome.prints)
        else if (shown !== undefined) expect(printed).toBe(shown)
      },
    )

    it.each(expected)('has one program with $of', ({ of }) => {
      expect(programs.filter(({ code }) => code.includes(of))).toHaveLength(1)
    })
  })
}
