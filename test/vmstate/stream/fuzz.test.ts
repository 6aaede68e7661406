import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { VmstateError } from '../../../lib/vmstate/index.ts'
import type { QemuStream } from '../../../lib/vmstate/index.ts'
import { join, ordinary, timer } from './build.ts'
import { cases, emulated } from '../../support/emulated.ts'
import { Dice, mutated } from '../mutations.ts'
import { readStreamFile } from './expected.ts'
import { smallStreams } from './mutable.ts'
import { read } from './read.ts'

// A busy machine takes minutes for so many.
vi.setConfig({ testTimeout: 900_000 })

const MUTANTS = cases(110_000, 1 / 80)
const MUTANTS_OF_FILES = cases(1500, 1 / 20)

/** Every byte is one to cut at and one to change; on an emulated processor one of so many is. */
const CUTS_APART = emulated ? 61 : 1
const CHANGES_APART = emulated ? 5 : 1

/** What a reader may need besides copies of the bytes: objects, and strings. */
const MEMORY_MIB = 300

const folder = fileURLToPath(new URL('./data', import.meta.url))
const mini = await readStreamFile(folder, 'good/f-mini.bin.gz')
const radix = await readStreamFile(folder, 'good/f-mini-radix.bin.gz')

/** What reading gives: a stream, or one of our errors; anything else is thrown on. */
function attempt(bytes: Buffer, search: boolean): QemuStream | VmstateError {
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
  it(`is read or refused in little memory: ${MUTANTS} small ones`, () => {
    const { read, refused } = readMutants(smallStreams, MUTANTS, 1)
    expect(read + refused).toBe(MUTANTS)
    expect(read).toBeGreaterThan(MUTANTS / 100)
    expect(refused).toBeGreaterThan(MUTANTS / 2)
    expect(process.resourceUsage().maxRSS / 1024).toBeLessThan(MEMORY_MIB)
  })

  it(`is read or refused in little memory: ${MUTANTS_OF_FILES} of QEMU's`, () => {
    const { read, refused } = readMutants([mini, radix], MUTANTS_OF_FILES, 2)
    expect(read + refused).toBe(MUTANTS_OF_FILES)
    expect(process.resourceUsage().maxRSS / 1024).toBeLessThan(MEMORY_MIB)
  })

  it('is refused wherever it is cut off', () => {
    for (const stream of [ordinary, mini]) {
      for (let length = 0; length < stream.length; length += CUTS_APART) {
        const outcome = attempt(stream.subarray(0, length), false)
        if (!(outcome instanceof VmstateError)) throw new Error(`Read after ${length} bytes`)
      }
    }
  })

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
  /** The places of the three numbers. Another byte there makes another number, which cannot be detected. */
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
