import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emulated } from '../support/emulated.ts'
import { documents, root } from '../support/markdown.ts'

/** What is to be seen of some blocks besides that they run, after some lines more. */
interface Outcome {
  readonly document: string
  /** Stands in that block alone. */
  readonly of: string
  readonly then?: string
  readonly prints: RegExp
}

const outcomes: readonly Outcome[] = [
  {
    document: 'README.md',
    of: 'serializeTimebase(saveTimebase(',
    prints: /goes on at \d+,\n\d+ ticks after .*\nvCPU 1 has it too: true\n/,
  },
  {
    document: 'README.md',
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
    of: 'subscribe(',
    then: `
      import { loadTimebase, openHost, saveTimebase } from 'kvm-ppc-onereg'
      const vcpus = [openHost().createVm().createVcpu(0)]
      loadTimebase(vcpus, saveTimebase(vcpus))`,
    prints: /^TB_OFFSET went from 0 to \d+, by -?[\d.e-]+ s\n$/,
  },
  {
    document: 'docs/registers.md',
    of: 'vcpu.getRaw',
    then: 'console.log(DAR, DSISR, refused)',
    prints: /^13835058055282167808n 1073741824 \[\]\n$/,
  },
]

/** In it the package is found by its own name, as by a user of it. */
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

/** What a program prints that ends well. */
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
  // The formats ask nothing of a kernel, and each program takes the emulated host half a minute.
  if (emulated && name === 'docs/formats.md') continue
  const programs = blocks.filter(({ language }) => language === 'js')
  const expected = outcomes.filter(({ document }) => document === name)
  if (programs.length + expected.length === 0) continue
  describe(name, () => {
    it.each(programs)('has a program that runs when it is pasted, on line $line', ({ code }) => {
      const outcome = expected.find(({ of }) => code.includes(of))
      const printed = output(`${code}\n${outcome?.then ?? ''}`)
      if (outcome) expect(printed).toMatch(outcome.prints)
    })

    it.each(expected)('has one program with $of', ({ of }) => {
      expect(programs.filter(({ code }) => code.includes(of))).toHaveLength(1)
    })
  })
}
