import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { filesOf, folderArchives } from '../lib/folder.ts'
import { tool } from '../lib/tools.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'power-host-'))
  for (const name of ['a.js', 'sub/b.js', 'node_modules/x/index.js', 'dist/c.js', 'two words']) {
    write(name)
  }
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function write(name: string, text = ''): void {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
  writeFileSync(path.join(folder, name), text)
}

const git = (...args: string[]): unknown => execFileSync('git', args, { cwd: folder })

describe('the files that go along', () => {
  test('outside git, all but node_modules', async () => {
    expect(await filesOf(folder)).toEqual(['a.js', 'dist/c.js', 'sub/b.js', 'two words'])
  })

  test('in git, those that it tracks or would add, and no removed one', async () => {
    git('init', '--quiet')
    write('.gitignore', 'node_modules\ndist\n')
    write('removed')
    git('add', '--all')
    write('new ü')
    rmSync(path.join(folder, 'removed'))
    expect(await filesOf(folder)).toEqual(['.gitignore', 'a.js', 'new ü', 'sub/b.js', 'two words'])
  })

  test('in a folder that an outer work tree ignores, all', async () => {
    git('init', '--quiet')
    write('.gitignore', 'dist\n')
    expect(await filesOf(path.join(folder, 'dist'))).toEqual(['c.js'])
  })

  test('with more, what git ignores; links stay links', async () => {
    git('init', '--quiet')
    write('.gitignore', 'node_modules\ndist\n')
    symlinkSync('a.js', path.join(folder, 'link'))
    const into = mkdtempSync(path.join(tmpdir(), 'power-host-'))
    try {
      const [archive = ''] = await folderArchives(folder, ['dist'], into)
      const [lz4, cpio] = [await tool('lz4'), await tool('cpio')]
      const unpacked = [...lz4.args, '--decompress', '--quiet', archive, path.join(into, 'cpio')]
      execFileSync(lz4.command, unpacked)
      const listing = [...cpio.args, '--list', '--verbose', '--quiet', '--file']
      const list = execFileSync(cpio.command, [...listing, path.join(into, 'cpio')], {
        encoding: 'utf8',
      })
      expect(list).toMatch(/ project\/dist\/c\.js$/m)
      expect(list).toMatch(/^l.* project\/link -> a\.js$/m)
      expect(list).not.toContain('node_modules')
    } finally {
      rmSync(into, { recursive: true })
    }
    // Where the machine has neither program, they are fetched first.
  }, 120_000)

  test('nothing from elsewhere', async () => {
    const into = path.join(folder, 'into')
    await expect(folderArchives(path.join(folder, 'sub'), ['../a.js'], into)).rejects.toThrow(
      '--with ../a.js: it is not in this folder',
    )
  })
})
