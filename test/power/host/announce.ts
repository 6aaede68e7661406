import { beforeEach } from 'vitest'
import { tell } from './tell.ts'

// Vitest's reporters hear of a test only when it lets them, so not of one that never does. This runs
// in every test file.
beforeEach(({ task }) => {
  tell('at', task.fullName)
})
