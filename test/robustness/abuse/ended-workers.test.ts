import { expect, it } from 'vitest'
import { runChild } from '../../support/child.ts'
import { cases, slowdown } from '../../support/emulated.ts'
import { addonLacks, describeUnless } from '../../support/lacking.ts'

const ROUNDS = cases(12, 1 / 12)

describeUnless(addonLacks, 'a worker is ended, and nothing else', () => {
  it.each([
    ['makes calls', 'for (;;) addon.getOneReg(fd, 0x103000000000009cn, new Uint8Array(8))'],
    ['makes calls that throw', 'for (;;) { try { addon.getOneReg() } catch {} }'],
    ['binds', 'for (;;) { addon.bindBatch(memory); addon.bindCalls(words).sample() }'],
    ['loads', 'for (;;) process.dlopen({ exports: {} }, file)'],
    ['waits', 'const again = () => addon.getOneRegsAsync(memory).then(again); again(); again()'],
    ['asks for more than it waits for', 'for (;;) addon.setOneRegsAsync(memory)'],
  ])(
    'while it %s',
    (_what, body) => {
      expect(runChild('child-ending-workers.ts', [body, String(ROUNDS)])).toEqual([1])
    },
    10_000 * slowdown,
  )
})
