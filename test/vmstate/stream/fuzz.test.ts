import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { VmstateError } from '../../../lib/vmstate/index.ts'
import type { QemuStream } from '../../../lib/vmstate/index.ts'
import {
  blockList,
  capabilities,
  command,
  configuration,
  describedSpapr,
  describedTimer,
  description,
  endMark,
  EOS,
  front,
  header,
  htabEnd,
  htabStart,
  join,
  ordinary,
  part,
  RAM_ID,
  ramEnd,
  ramPart,
  ramStart,
  record,
  spapr,
  start,
  subsection,
  text,
  timer,
  u16,
  u32,
  u64,
  BLOCK,
} from './build.ts'
import { cases, emulated, slowdown } from '../../support/emulated.ts'
import { cpuMilliseconds, Dice, mutated } from '../mutations.ts'
import { readStreamFile } from './expected.ts'
import { read } from './read.ts'

const MUTANTS = cases(110_000, 1 / 80)
const MUTANTS_OF_FILES = cases(1500, 1 / 20)

/** Every byte is one to cut at and one to change; on an emulated processor one of so many is. */
const CUTS_APART = emulated ? 61 : 1
const CHANGES_APART = emulated ? 5 : 1

const SLOW_MS = 1000 * slowdown
const MEMORY_MIB = 300

const folder = fileURLToPath(new URL('./data', import.meta.url))
const mini = await readStreamFile(folder, 'good/f-mini.bin.gz')
const radix = await readStreamFile(folder, 'good/f-mini-radix.bin.gz')

const tail = join(timer, spapr, endMark, description([describedTimer, describedSpapr]))
const contents = join(command(4), timer, spapr, command(5))

/** Of a raw image: version 2, 32 bytes of XML. */
const libvirtHeader = join(
  Buffer.from('LibvirtQemudSave'),
  [2, 0, 0, 0, 32, 0, 0, 0],
  Buffer.alloc(68),
  Buffer.from('<domain>\n  <name>a</name>\n'.padEnd(32, '\0')),
)

/** Small streams of all kinds, so that most mutations hit something that matters. */
const small = [
  ordinary,
  join(
    header,
    configuration(
      'pseries-7.2',
      subsection('configuration/target-page-bits', 1, u32(12)),
      capabilities('x-ignore-shared'),
      subsection('configuration/uuid', 1, Buffer.alloc(16, 7)),
    ),
    command(2, u32(1)),
    start(RAM_ID, 'ram', 4, blockList(u64(0n)), EOS),
    tail,
  ),
  join(
    header,
    configuration('pseries-3.1'),
    ramStart,
    htabStart,
    part(
      RAM_ID,
      record(0x40, 0, text(BLOCK), join([1], u16(5), Buffer.alloc(5))),
      record(0x120, 0x1000, u32(9), Buffer.alloc(9)),
      record(0x22, 0x2000, [0]),
      record(0x200, 0),
      EOS,
    ),
    ramEnd,
    htabEnd,
    tail,
  ),
  join(front, command(7, u32(contents.length)), contents, endMark),
  join(header, ramStart, htabStart, ramPart, timer, spapr, endMark),
  // QEMU 10.1 to 11: postcopy of huge pages that ends twice, dirty bitmaps, bytes behind the stream.
  join(
    header,
    configuration('pseries-11.1', capabilities('x-ignore-shared')),
    command(3, Buffer.alloc(16, 1)),
    start(RAM_ID, 'ram', 4, blockList(u64(0x20_0000n), u64(0n)), EOS),
    htabStart,
    htabEnd,
    command(7, u32(contents.length)),
    contents,
    ramEnd,
    htabEnd,
    ramEnd,
    endMark,
  ),
  join(
    header,
    configuration('pseries-11.1'),
    start(7, 'dirty-bitmap', 1, [0x1c], text('disk'), text('map'), u32(65536), [3], [1]),
    ramStart,
    part(7, [0x4c], text('disk'), text('map'), u64(0n), u32(64), u64(8n), Buffer.alloc(8, 1), [1]),
    ramEnd,
    tail,
    Buffer.alloc(64),
  ),
  join(libvirtHeader, ordinary),
]

/** What reading gives: a stream, or one of our errors; anything else is thrown on. */
function attempt(bytes: Buffer, search: boolean): QemuStream | VmstateError {
  const started = cpuMilliseconds()
  const outcome = readOrError(bytes, search)
  const ms = cpuMilliseconds() - started
  if (ms > SLOW_MS) throw new Error(`${ms} ms for ${bytes.length} bytes`)
  return outcome
}

function readOrError(bytes: Buffer, search: boolean): QemuStream | VmstateError {
  try {
    return read(bytes, search)
  } catch (error) {
    if (!(error instanceof VmstateError)) throw error
    const { offset = -1 } = error
    if (offset >= 0 && offset <= bytes.length) return error
    throw new Error(`No such byte: ${error.message}`, { cause: error })
  }
}

function readMutants(bases: readonly Buffer[], count: number, seed: number) {
  const dice = new Dice(seed)
  const outcomes = { read: 0, refused: 0 }
  for (let done = 0; done < count; done++) {
    const mutant = mutated(dice.pick(bases), dice, bases)
    const search = dice.below(2) === 1
    try {
      outcomes[attempt(mutant, search) instanceof VmstateError ? 'refused' : 'read']++
    } catch (error) {
      throw new Error(`Mutant ${done} of seed ${seed}`, { cause: error })
    }
  }
  return outcomes
}

describe('a mutated stream', () => {
  it(`is read or refused, fast and in little memory: ${MUTANTS} small ones`, () => {
    const { read, refused } = readMutants(small, MUTANTS, 1)
    expect(read + refused).toBe(MUTANTS)
    expect(read).toBeGreaterThan(MUTANTS / 100)
    expect(refused).toBeGreaterThan(MUTANTS / 2)
    expect(process.resourceUsage().maxRSS / 1024).toBeLessThan(MEMORY_MIB)
  }, 120_000)

  it(`is read or refused, fast and in little memory: ${MUTANTS_OF_FILES} of QEMU's`, () => {
    const { read, refused } = readMutants([mini, radix], MUTANTS_OF_FILES, 2)
    expect(read + refused).toBe(MUTANTS_OF_FILES)
    expect(process.resourceUsage().maxRSS / 1024).toBeLessThan(MEMORY_MIB)
  }, 120_000)

  it('is refused wherever it is cut off', () => {
    for (const stream of [ordinary, mini]) {
      for (let length = 0; length < stream.length; length += CUTS_APART) {
        const outcome = attempt(stream.subarray(0, length), false)
        if (!(outcome instanceof VmstateError)) throw new Error(`Read after ${length} bytes`)
      }
    }
  }, 120_000)

  it('is read to its end when bytes follow', () => {
    for (const byte of [0, 0x06, 0x20, 0x7d]) {
      expect(attempt(join(ordinary, [byte]), false)).toMatchObject({ trailingBytes: 1 })
    }
  })
})

describe('one wrong byte', () => {
  const { timebase } = read(ordinary)
  const original = [timebase.guestTimebase, timebase.timeOfDayNs, timebase.virtualClockTimebase]
  const clock = ordinary.indexOf(timer) + 19 + 16
  /** Where each of the three numbers is: there another byte is another number, which nobody can tell. */
  const places = [timebase.offset, timebase.offset + 8, clock]
  const spots = ordinary.length - 4096 + 20

  it('never gives a wrong time, unless it is a byte of the time itself', () => {
    const page = ordinary.indexOf(Buffer.alloc(4096, 'page'))
    const dice = new Dice(3)
    let accepted = 0
    for (let spot = 0; spot < spots; spot += CHANGES_APART) {
      const at = spot < page ? spot : spot + 4096 - 20
      for (const value of [
        0,
        0xff,
        (ordinary[at] ?? 0) ^ 1,
        (ordinary[at] ?? 0) ^ 0x80,
        dice.below(256),
      ]) {
        const bytes = Buffer.from(ordinary)
        bytes[at] = value
        const outcome = attempt(bytes, false)
        if (outcome instanceof VmstateError) continue
        accepted++
        const { guestTimebase, timeOfDayNs, virtualClockTimebase } = outcome.timebase
        for (const [index, found] of [guestTimebase, timeOfDayNs, virtualClockTimebase].entries()) {
          const place = places[index] ?? 0
          if (at >= place && at < place + 8) continue
          if (found !== original[index])
            throw new Error(`Byte ${at} as ${value} gives ${String(found)}`)
        }
      }
    }
    // Names, opaque fields, the bytes of the time.
    expect(accepted).toBeGreaterThan(spots / CHANGES_APART / 10)
    expect(accepted).toBeLessThan((spots / CHANGES_APART) * 4)
  })
})
