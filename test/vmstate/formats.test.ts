import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { dumpNames, example, withDumps } from '../../scripts/format-dumps.ts'
import { parseTimebase } from '../../lib/timebase/state.ts'
import {
  cpuTimebase,
  cpuTimebaseToState,
  decode,
  qemuTimebaseToState,
  spapr,
} from '../../lib/vmstate/index.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(`${root}/docs/formats.md`, 'utf8')

/** The bytes of a dump as it stands on the page. */
function bytesOf(name: string): Uint8Array {
  const [, dump = ''] = page.split(`<!-- dump: ${name} -->\n\n\`\`\`text\n`)
  const [block = ''] = dump.split('```')
  const rows = block.split('\n').map((row) => row.slice(6, 6 + 47).split('  ')[0] ?? '')
  return Buffer.from(rows.join('').replaceAll(' ', ''), 'hex')
}

describe('docs/formats.md', () => {
  it('has every dump, as the code makes it now (npm run docs -- formats)', () => {
    for (const name of dumpNames) expect(page).toContain(`<!-- dump: ${name} -->`)
    expect(withDumps(page)).toBe(page)
    expect(withDumps(page.replace('0000  00', '0000  ff'))).toBe(page)
  })

  it('has dumps that are read as one guest', () => {
    const { guestTimebase, timeOfDayNs, uncertaintyNs, offset, timebaseFrequency, vcpus } = example
    const destination = { tb_freq: Number(timebaseFrequency) }
    const seed = decode(cpuTimebase, bytesOf('cpu/timebase'), { destination })
    expect(cpuTimebaseToState(seed, { uncertaintyNs, vcpus })).toStrictEqual({
      ...example,
      timeOfDayNs: timeOfDayNs - (timeOfDayNs % 1000n),
    })
    const { tb } = decode(spapr, bytesOf('spapr'))
    if (tb === undefined) throw new Error('version 3 has a timebase')
    const beyond = { uncertaintyNs, offset, timebaseFrequency, vcpus }
    expect(qemuTimebaseToState(tb, beyond)).toStrictEqual(example)
    expect(guestTimebase).toBe(tb.guest_timebase)
    expect(parseTimebase(Buffer.from(bytesOf('json')).toString())).toStrictEqual(example)
  })
})
