import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { crossBuild, libraryAddon, targets, type Target } from '../../scripts/cross-build.ts'
import { neededVersions, newerThanNodeNeeds } from '../../scripts/needed-versions.ts'

const installed = path.join(inject('project'), 'node_modules/kvm-ppc-onereg')

function prebuilt(target: Target): string {
  return path.join(installed, 'prebuilds', target, libraryAddon.file)
}

describe.each(targets)('the binary for %s', (target) => {
  it('is the same to the byte when it is built again', async () => {
    const again = await mkdtemp(path.join(tmpdir(), 'again-'))
    try {
      await crossBuild(libraryAddon, target, again)
      const second = await readFile(path.join(again, libraryAddon.file))
      expect(second.equals(await readFile(prebuilt(target)))).toBe(true)
    } finally {
      await rm(again, { recursive: true })
    }
  })

  it('needs no newer libraries than Node itself', async () => {
    const needed = await neededVersions(prebuilt(target))
    console.log(`${target} needs ${needed.join(', ')}`)
    expect(newerThanNodeNeeds(needed)).toEqual([])
  })

  it('is a little-endian one for that processor', async () => {
    const elf = await readFile(prebuilt(target))
    const EM = { 'linux-ppc64': 21, 'linux-x64': 62 }
    expect(elf.subarray(0, 6).toString('latin1')).toBe('\x7fELF\x02\x01')
    expect(elf.readUInt16LE(18)).toBe(EM[target])
  })
})

describe('versions that are newer than what Node needs', () => {
  it('are told from others as numbers, part by part', () => {
    const fine = ['GLIBC_2.28', 'GLIBC_2.4', 'GLIBC_2.2.5', 'GCC_3.0']
    const newer = ['GLIBC_2.29', 'GLIBC_2.28.1', 'GLIBC_2.100', 'GLIBCXX_3.4', 'OTHER_1']
    expect(newerThanNodeNeeds([...fine, ...newer])).toEqual(newer)
  })
})
