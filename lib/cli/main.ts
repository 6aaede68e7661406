#!/usr/bin/env node
import { run } from './program.ts'

// If `| head` stops reading, the command has not failed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

process.exitCode = await run(process.argv.slice(2))
