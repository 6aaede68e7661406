import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import {
  crossBuild,
  libraryAddon,
  libraryFile,
  targets,
  type Target,
} from '../../scripts/cross-build.ts'
import { describeUnless } from '../support/lacking.ts'

const installed = path.join(inject('project'), 'node_modules/kvm-ppc-onereg')

const loader = `
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **arguments) {
  puts(dlopen(arguments[1], RTLD_NOW) ? "loaded" : dlerror());
}
`

const muslLacks =
  spawnSync('musl-gcc', ['--version']).status === 0
    ? undefined
    : 'musl-gcc (apt-get install musl-tools)'

function prebuilt(target: Target, file: string): string {
  return path.join(installed, 'prebuilds', target, file)
}

const binaries = targets.flatMap((target) =>
  libraryAddon.files(target).map((file) => ({ target, file })),
)

describe.each(targets)('the binaries for %s', (target) => {
  it('are the same to the byte when they are built again', async () => {
    const again = await mkdtemp(path.join(tmpdir(), 'again-'))
    try {
      await crossBuild(libraryAddon, target, again)
      for (const file of libraryAddon.files(target)) {
        const second = await readFile(path.join(again, file))
        expect(second.equals(await readFile(prebuilt(target, file))), file).toBe(true)
      }
    } finally {
      await rm(again, { recursive: true })
    }
  })
})

describe.each(binaries)('$file for $target', ({ target, file }) => {
  it('names no library and no version of a symbol, so that any C library does', async () => {
    const { stdout } = await run('readelf', ['--dynamic', '--version-info', prebuilt(target, file)])
    expect(stdout).toContain('Dynamic section')
    expect(stdout).not.toMatch(/NEEDED|version needs/i)
  })

  it('is a little-endian one for that processor', async () => {
    const elf = await readFile(prebuilt(target, file))
    const EM = { 'linux-ppc64': 21, 'linux-x64': 62 }
    expect(elf.subarray(0, 6).toString('latin1')).toBe('\x7fELF\x02\x01')
    expect(elf.readUInt16LE(18)).toBe(EM[target])
  })
})

describeUnless(muslLacks, 'the binary for linux-x64', () => {
  it("is loaded by musl's loader, all symbols resolved", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'musl-'))
    try {
      const addon = prebuilt('linux-x64', libraryFile)
      const { stdout } = await run('nm', ['--dynamic', '--undefined-only', addon])
      // Node would bring these.
      const nodeApi = Array.from(
        stdout.matchAll(/ U (napi_\w+)/g),
        ([, name = '']) => `int ${name}() {}`,
      )
      const program = path.join(folder, 'load.c')
      await writeFile(program, `${nodeApi.join('\n')}\n${loader}`)
      const loads = path.join(folder, 'load')
      await run('musl-gcc', ['-rdynamic', '-o', loads, program])
      expect((await run(loads, [addon])).stdout).toBe('loaded\n')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
