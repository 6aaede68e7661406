import { readFileSync, writeFileSync } from 'node:fs'
import { drawMove } from './draw-move.ts'
import type { RecordedMove } from './draw-move.ts'

// Draws docs/move.svg from what a run wrote down: npm run docs -- picture. For other readings, first
// npm run power -- migrate --json docs/move.json
const docs = new URL('../docs/', import.meta.url)
const recording = JSON.parse(readFileSync(new URL('move.json', docs), 'utf8')) as RecordedMove
writeFileSync(new URL('move.svg', docs), drawMove(recording))
