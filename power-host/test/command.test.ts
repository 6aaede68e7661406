import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { commandScript, passedOn } from '../lib/command.ts'

/** What arguments the shell gives to a program that the script becomes. */
function argumentsSeen(args: readonly string[]): unknown {
  const print = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))'
  const script = commandScript([process.execPath, '-e', print, '--', ...args], {})
  return JSON.parse(execFileSync('sh', { input: script, encoding: 'utf8' }))
}

describe('commandScript', () => {
  test.each([
    [['a b', ' ', '']],
    [["it's", "''", "'", "\\'"]],
    [['"quoted"', '$HOME', '`id`', '$(id)', '!!', '*', '~', '\\n', '\\']],
    [['two\nlines', 'tab\t', '\r', 'ü€😀']],
    [['--', '-e', '--help', '#', ';', '&', '|', '>x']],
  ])('gives %j as it is', (args) => {
    expect(argumentsSeen(args)).toEqual(args)
  })

  test('exports the environment, as it is', () => {
    const script = commandScript(['sh', '-c', 'printf %s "$KVM_PPC_X"'], { KVM_PPC_X: "a'b $c" })
    expect(execFileSync('sh', { input: script, encoding: 'utf8' })).toBe("a'b $c")
  })
})

describe('passedOn', () => {
  const pipe = { isTTY: false, columns: 0, getColorDepth: () => 1 }
  const terminal = { isTTY: true, columns: 120, getColorDepth: () => 8 }

  test('only what concerns the command', () => {
    const kept = { TERM: 'xterm', COLUMNS: '100', NO_COLOR: '1', FORCE_COLOR: '0' }
    const env = { ...kept, HOME: '/home/x', PATH: '/bin', XTERM: '1', NODE_OPTIONS: '--x' }
    expect(passedOn(env, pipe)).toEqual(kept)
  })

  test('a terminal here is told to the command there', () => {
    expect(passedOn({}, terminal)).toEqual({ COLUMNS: '120', FORCE_COLOR: '2' })
    expect(passedOn({ NO_COLOR: '1' }, terminal)).toEqual({ COLUMNS: '120', NO_COLOR: '1' })
  })

  test('without a terminal there are no colours, unless asked for', () => {
    expect(passedOn({}, pipe)).toEqual({ NO_COLOR: '1' })
    expect(passedOn({ FORCE_COLOR: '1' }, pipe)).toEqual({ FORCE_COLOR: '1' })
  })
})
