import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { expect } from 'vitest'
import { loadAddon } from '../../../lib/kernel/addon.ts'
import { addonLacks, describeUnless, itUnless } from '../../support/lacking.ts'
import { sanitized } from '../../support/sanitized.ts'

/** As many batches of 2^20 entries as do not fit, each with its copy, in so much memory. */
const BATCHES = 40
const ROOM_KIB = 2 ** 19

const { ENOMEM, EAGAIN } = constants.errno

/** What AddressSanitizer reserves is more than any limit leaves. */
const limitLacks = sanitized ? 'to run without AddressSanitizer' : undefined

const program = `
  const addon = require(process.argv[1])
  const memory = new Uint8Array(new SharedArrayBuffer(2 ** 25 + 8))
  const calls = Array.from({ length: ${BATCHES} }, () => addon.getOneRegsAsync(memory))
  Promise.all(calls).then((results) => console.log(JSON.stringify(results)))`

describeUnless(addonLacks, 'a process that has no more memory', () => {
  itUnless(
    limitLacks,
    'is told so by the calls off the thread',
    () => {
      const file: unknown = Reflect.get(loadAddon(), 'path')
      const [, size = ''] =
        /^VmSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
      const limited = `ulimit -v ${Number(size) + ROOM_KIB}; exec "$@"`
      const { stdout, stderr } = spawnSync(
        'sh',
        ['-c', limited, 'sh', process.execPath, '--eval', program, String(file)],
        { encoding: 'utf8' },
      )
      expect(stderr).toBe('')
      const results = JSON.parse(stdout) as number[]
      expect(results).toHaveLength(BATCHES)
      const kinds = new Set(results)
      expect(kinds).toContain(0)
      expect(kinds.has(-ENOMEM) || kinds.has(-EAGAIN)).toBe(true)
      expect(results.every((result) => [0, -ENOMEM, -EAGAIN].includes(result))).toBe(true)
    },
    60_000,
  )
})
