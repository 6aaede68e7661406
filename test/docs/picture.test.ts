import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { drawMove } from '../../scripts/draw-move.ts'
import type { RecordedMove } from '../../scripts/draw-move.ts'

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
const recording = JSON.parse(read('move.json')) as RecordedMove

it('the picture is that of the recording (npm run docs:picture)', () => {
  expect(read('move.svg')).toBe(drawMove(recording))
})

it('says what the guest saw: no step back with this library, some where the offset is remembered', () => {
  const [ours, remembered] = recording.trips.map(({ stays }) => stays.at(-1)?.backwardSteps)
  expect(ours).toBe('0')
  expect(Number(remembered)).toBeGreaterThan(0)
})
