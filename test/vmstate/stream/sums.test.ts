import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { readQemuStream, VmstateError } from '../../../lib/vmstate/index.ts'
import {
  DESCRIPTION_CANDIDATE_LIMIT,
  HELD_LIMIT,
  LISTED_LIMIT,
  NAMED_PLACES,
  PACKAGE_LIMIT,
  TURN,
} from '../../../lib/vmstate/stream/limits.ts'
import {
  command,
  configuration,
  describedSpapr,
  describedTimer,
  description,
  end,
  endMark,
  full,
  GUEST_TIMEBASE,
  header,
  htabStart,
  HTAB_ID,
  join,
  ordinary,
  spapr,
  tb,
  timer,
  u32,
} from './build.ts'
import { read } from './read.ts'

// Each limit is for all of a stream: many pieces of which each is small enough are too many.

const before = join(header, configuration('pseries-7.2'))

async function refusal(stream: Promise<unknown>): Promise<VmstateError> {
  const error: unknown = await stream.catch((caught: unknown) => caught)
  if (error instanceof VmstateError) return error
  throw new Error('The stream is not refused', { cause: error })
}

describe('packages', () => {
  it('hold 64 MiB together, not each', async () => {
    const size = 24 * 1024 * 1024
    const chunk = Buffer.alloc(1024 * 1024)
    // eslint-disable-next-line @typescript-eslint/require-await
    async function* stream() {
      yield before
      for (let index = 0; index < 24; index++) {
        yield join(command(7, u32(size)).subarray(0, 5), u32(size), [4])
        for (let left = size - 1; left > 0; left -= chunk.length) yield chunk.subarray(0, left)
      }
      yield endMark
    }
    const error = await refusal(readQemuStream(stream(), { search: true }))
    expect(error.code).toBe('ERR_VMSTATE_LIMIT')
    expect(error.message).toContain(`${HELD_LIMIT} in all`)
    // The third of 24 is refused.
    expect(error.offset).toBeLessThan(3 * size)
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(4 * HELD_LIMIT)
  }, 60_000)

  it('leave so much less for what follows them', async () => {
    const size = HELD_LIMIT - 100
    const contents = Buffer.alloc(size)
    timer.copy(contents)
    const stream = join(before, command(7, u32(size)), contents, timer, spapr, endMark)
    const error = await refusal(readQemuStream(stream, { search: true }))
    expect(error).toMatchObject({ code: 'ERR_VMSTATE_LIMIT' })
    expect(error.message).toMatch(/of devices and description/)
  }, 60_000)

  it('are not more than so many', () => {
    const one = join(command(7, u32(timer.length)), timer)
    const many = (count: number) => join(before, ...Array<Buffer>(count).fill(one), spapr, endMark)
    expect(() => read(many(PACKAGE_LIMIT), true)).not.toThrow()
    expect(() => read(many(PACKAGE_LIMIT + 1), true)).toThrow('More than 64 packages')
  })
})

describe('ends of sections', () => {
  it('are listed like parts: not beyond the limit', () => {
    const ending = end(HTAB_ID, u32(0), Buffer.alloc(8))
    const ends = Array<Buffer>(LISTED_LIMIT + 1).fill(ending)
    const { sections } = read(join(before, htabStart, ...ends, spapr, endMark), true)
    expect(sections).toHaveLength(1 + LISTED_LIMIT)
  })
})

/** How often Buffers were asked, which unlike a time is the same on every machine. */
function countingCalls(run: () => void) {
  const names = ['readUInt32BE', 'indexOf', 'lastIndexOf'] as const
  const calls = { readUInt32BE: 0, indexOf: 0, lastIndexOf: 0 }
  const prototype = Buffer.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
  const restore = names.map((name) => {
    const original = prototype[name]
    if (original === undefined) throw new Error(`Buffers have no ${name}`)
    const counting = function (this: Buffer, ...args: unknown[]) {
      calls[name]++
      return original.apply(this, args)
    }
    prototype[name] = counting
    return () => (prototype[name] = original)
  })
  try {
    run()
  } finally {
    for (const each of restore) each()
  }
  return calls
}

describe('an ambiguous search', () => {
  const looksLikeOne = full(1, 'spapr', 3, tb)
  const stream = (count: number) =>
    join(before, timer, ...Array<Buffer>(count).fill(looksLikeOne), endMark)

  it('names the first places only', () => {
    const message = (count: number) => {
      try {
        read(stream(count), true)
      } catch (error) {
        return (error as Error).message
      }
      throw new Error('The stream is not refused')
    }
    expect(message(NAMED_PLACES).split(',')).toHaveLength(NAMED_PLACES + 2)
    expect(message(NAMED_PLACES)).not.toContain('others')
    expect(message(NAMED_PLACES + 1)).toContain(', and others')
    expect(message(100_000).length).toBe(message(NAMED_PLACES + 1).length)
  })

  it('takes no longer for many places that only look like one', () => {
    // No footer and no subsection follows, so that none of them is taken.
    const count = Math.floor((HELD_LIMIT - 100) / 19)
    const bytes = Buffer.alloc(19 * count, full(1, 'spapr', 3).subarray(0, 19))
    const looks = countingCalls(() => {
      expect(() => read(join(before, htabStart, timer, bytes, endMark), true)).toThrow(
        'nothing in it',
      )
    })
    expect(looks.readUInt32BE).toBeLessThan(5 * count)
    expect(looks.indexOf + looks.lastIndexOf).toBeLessThan(100)
  }, 60_000)
})

describe('places that look like a description', () => {
  it('are not more than so many', () => {
    const one = join([0, 6], u32(2), Buffer.from('{}'))
    const many = (count: number) => join(before, timer, ...Array<Buffer>(count).fill(one), endMark)
    expect(() => read(many(DESCRIPTION_CANDIDATE_LIMIT))).toThrow('something looks like one')
    expect(() => read(many(DESCRIPTION_CANDIDATE_LIMIT + 1))).toThrow(
      'More than 8 places look like the description',
    )
  })
})

describe('a long parse', () => {
  const commands = Buffer.concat(Array<Buffer>(50 * TURN).fill(command(1)))
  const described = description([describedTimer, describedSpapr])

  it.each([
    ['in front of the devices', join(before, commands, timer, spapr, endMark, described)],
    ['among the devices', join(before, timer, commands, spapr, endMark, described)],
  ])('lets other work of the process have its turn: commands %s', async (_, stream) => {
    let turns = 0
    const reading = readQemuStream(stream)
    const state = { isDone: false }
    void reading.finally(() => (state.isDone = true))
    while (!state.isDone) {
      await setImmediate()
      turns++
    }
    expect((await reading).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
    expect(turns).toBeGreaterThan(1)
  })

  it('does not change the outcome', async () => {
    expect(await readQemuStream(ordinary)).toEqual(read(ordinary))
  })
})
