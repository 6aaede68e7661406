import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { withRegisterTable } from '../../scripts/register-table.ts'
import { hasScript, problemsOfCommands } from '../support/commands.ts'
import { documents, root } from '../support/markdown.ts'
import type { CodeBlock } from '../support/markdown.ts'

const all = documents()

describe.each(all)('$name', ({ name, blocks, words, links }) => {
  it('links to files and headings that exist', () => {
    expect(links.filter((link) => !leadsSomewhere(name, link))).toEqual([])
  })

  it('names scripts that exist', () => {
    const scripts = words.flatMap((word) => /^npm run (?:--silent )?([\w:]+)/.exec(word)?.[1] ?? [])
    expect(scripts.filter((script) => !hasScript(script))).toEqual([])
  })

  it('has no code that is wrong or unchecked', { timeout: 60_000 }, () => {
    const problems = blocks.flatMap((block) =>
      problemsOf(name, block).map((problem) => `line ${block.line}: ${problem}`),
    )
    expect(problems).toEqual([])
  })
})

/** CI has no network, so links to other sites are checked by their form only. */
function leadsSomewhere(from: string, link: string): boolean {
  if (/^[a-z]+:/.test(link)) return /^(https|mailto):/.test(link) && URL.canParse(link)
  const [file = '', anchor] = link.split('#')
  const target = file === '' ? from : path.join(path.dirname(from), file)
  if (!existsSync(path.join(root, target))) return false
  if (anchor === undefined) return true
  return all.some(({ name, headings }) => name === target && headings.includes(anchor))
}

function problemsOf(document: string, { language, code }: CodeBlock): string[] {
  switch (language) {
    case 'js':
      return [] // test/docs/document-code.test.ts runs it.
    case 'ts':
      return typeProblems(code)
    case 'sh':
      return problemsOfCommands(document, code)
    case 'text':
      return [] // What a program prints, a formula.
    default:
      return [`no test checks a block of ${language === '' ? 'no language' : language}`]
  }
}

/** Checks in a folder of this project, where the package is found by its name, as users find it. */
function typeProblems(code: string): string[] {
  mkdirSync(path.join(root, 'build'), { recursive: true })
  const folder = mkdtempSync(path.join(root, 'build/documents-'))
  try {
    const compilerOptions = {
      ...{ noEmit: true, strict: true, module: 'nodenext', target: 'es2023', types: ['node'] },
      lib: ['es2023', 'esnext.disposable'],
    }
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
    writeFileSync(path.join(folder, 'block.mts'), code)
    const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = spawnSync(process.execPath, [tsc], { cwd: folder, encoding: 'utf8' })
    return stdout.split('\n').filter((line) => line !== '')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('docs/registers.md', () => {
  it('has the table as the code makes it now (npm run docs -- registers)', () => {
    const page = readFileSync(path.join(root, 'docs/registers.md'), 'utf8')
    expect(withRegisterTable(page)).toBe(page)
    expect(withRegisterTable(page.replace('| `DAR` ', '| `RAD` '))).toBe(page)
  })
})
