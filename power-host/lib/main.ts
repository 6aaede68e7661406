#!/usr/bin/env node
import { createPrepareProgram, createProgram } from './cli.ts'
import { runProgram } from './program.ts'

const [first, ...rest] = process.argv.slice(2)
if (first === 'prepare') await runProgram(createPrepareProgram(), rest)
else await runProgram(createProgram())
