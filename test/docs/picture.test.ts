import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { drawMove } from '../../scripts/draw-move.ts'
import type { RecordedMove } from '../../scripts/draw-move.ts'

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
const recording = JSON.parse(read('move.json')) as RecordedMove
const [ours, remembered] = recording.trips

/** How many of a trip's loads took the guest back. */
function movesBack(trip: typeof ours): number {
  const stays = trip?.stays ?? []
  const guestAt = (hostTimebase = '', offset = '') => BigInt(hostTimebase) + BigInt(offset)
  return stays.slice(1).filter(({ from, offset }, index) => {
    const before = stays[index]
    return guestAt(from, offset) < guestAt(before?.until, before?.offset)
  }).length
}

it('the picture shows the recording (npm run docs -- picture)', () => {
  expect(read('move.svg')).toBe(drawMove(recording))
})

it('no move goes back with this library, and some do where the offset is remembered', () => {
  expect(movesBack(ours)).toBe(0)
  expect(ours?.stays.at(-1)?.backwardSteps).toBe('0')
  expect(movesBack(remembered)).toBeGreaterThan(0)
})

it('says of each trip how many moves went back, and how many of them the guest saw', () => {
  const seen = Number(remembered?.stays.at(-1)?.backwardSteps)
  const back = movesBack(remembered)
  const picture = drawMove(recording)
  expect(seen).toBeGreaterThan(0)
  expect(picture).toContain(`${back} go back. The guest saw ${seen} of these in `)
  expect(picture.includes('ran on too late to notice')).toBe(seen < back)
  expect(picture).toMatch(/In [\d.]+ million readings the guest saw no jump back\./)
})
