import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emulated } from '../support/emulated.ts'

const main = fileURLToPath(new URL('../../lib/cli/main.ts', import.meta.url))
const built = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const mini = fileURLToPath(new URL('../vmstate/stream/data/good/f-mini.bin.gz', import.meta.url))

/** On an emulated processor the built program, since tsx takes half a minute there. */
const program = emulated ? [built] : ['--import', 'tsx', main]

/** Runs the program by a shell, which redirects its output. */
function runInShell(command: string, args: readonly string[], output: string) {
  const words = ['-c', command, process.execPath, ...program, ...args]
  const { status, stderr } = spawnSync('sh', words, {
    encoding: 'utf8',
    env: { ...process.env, OUTPUT: output, KVM_PPC_BACKEND: 'software' },
  })
  return { status, stderr }
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'full-disk-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

describe('a full disk', { timeout: 120_000 }, () => {
  it.each([
    { args: ['info'] },
    { args: ['info', '--json'] },
    { args: ['registers'] },
    { args: ['registers', '--probe'] },
    { args: ['demo'] },
    { args: ['decode', mini] },
    { args: ['decode', mini, '--all', '--json'] },
    { args: ['--help'] },
    { args: ['help', 'decode'] },
    { args: ['--version'] },
  ])('is one line on standard error, and not success: $args', ({ args }) => {
    expect(runInShell('"$0" "$@" > "$OUTPUT"', args, '/dev/full')).toEqual({
      status: 1,
      stderr:
        'kvm-ppc-onereg: the output cannot be written: ENOSPC: no space left on device, write\n',
    })
  })

  it('is noticed in the middle of the output too', () => {
    // A limit for the size of files ends a write in its middle, as the end of a disk does.
    const output = join(folder, 'output')
    const { status, stderr } = runInShell(
      'ulimit -f 64; "$0" "$@" > "$OUTPUT"',
      ['decode', mini, '--all', '--json'],
      output,
    )
    expect(stderr).toBe(
      'kvm-ppc-onereg: the output cannot be written: EFBIG: file too large, write\n',
    )
    expect(status).toBe(1)
    expect(statSync(output).size).toBeGreaterThan(0)
  })

  it('on standard error alone leaves the exit status as it is', () => {
    const args = ['decode', join(folder, 'nothing')]
    expect(runInShell('"$0" "$@" 2> "$OUTPUT"', args, '/dev/full').status).toBe(1)
  })
})
