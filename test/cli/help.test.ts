import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { commandDetails } from '../../lib/cli/help.ts'
import { createProgram } from '../../lib/cli/program.ts'
import { table } from '../../lib/cli/print.ts'
import { commandLine } from '../support/command-line.ts'

beforeEach(() => {
  for (const name of ['NO_COLOR', 'FORCE_COLOR', 'CLICOLOR_FORCE', 'COLUMNS'])
    vi.stubEnv(name, undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
})

const commands = createProgram().commands.map((command) => command.name())

describe('--help', () => {
  it('ends with 0 and says what is asked first', async () => {
    const { status, stdout, stderr } = await commandLine(['--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const wanted of [
      'First steps:',
      'Environment:',
      'KVM_PPC_TRACE',
      'Exit status:',
      'docs/cli.schema.json',
    ]) {
      expect(stdout).toContain(wanted)
    }
    for (const name of commands) expect(stdout).toContain(name)
  })

  it.each(commands)('of %s has its examples', async (name) => {
    const { status, stdout } = await commandLine([name, '--help'])
    expect(status).toBe(0)
    const examples = commandDetails[name]?.examples ?? []
    expect(examples).not.toHaveLength(0)
    for (const { term } of examples) {
      expect(stdout).toContain(term)
      expect(term).toContain(`kvm-ppc-onereg ${name}`)
    }
  })

  it.each([60, 80, 120])('keeps to a terminal of %d columns', async (columns) => {
    vi.stubEnv('COLUMNS', `${columns}`)
    for (const name of [[], ...commands.map((command) => [command])]) {
      const { stdout } = await commandLine([...name, '--help'])
      const isExample = (line: string) => line.includes('kvm-ppc-onereg ')
      const longest = Math.max(
        ...stdout
          .split('\n')
          .filter((line) => !isExample(line))
          .map((line) => line.length),
      )
      expect(longest).toBeLessThanOrEqual(columns)
      if (name.length === 0) expect(longest).toBeGreaterThan(Math.min(columns, 100) - 10)
    }
  })
})

describe('--version', () => {
  it('is that of the package', async () => {
    const { status, stdout } = await commandLine(['--version'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^\d+\.\d+\.\d+/)
  })
})

describe('wrong usage', () => {
  it.each([
    ['nothing', []],
    ['an unknown command', ['inf']],
    ['an unknown option', ['info', '--jso']],
    ['an argument too many', ['info', 'x']],
  ])('ends with 2 for %s', async (_, args) => {
    const { status, stdout, stderr } = await commandLine(args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/--help|Usage:/)
  })

  it.each(commands)('of %s names its help', async (name) => {
    const { status, stderr } = await commandLine([name, '--wrong'])
    expect(status).toBe(2)
    expect(stderr).toContain(`(try 'kvm-ppc-onereg ${name} --help')`)
  })
})

describe('colours', () => {
  it('are left out where there is no terminal', async () => {
    const { stdout } = await commandLine(['info'])
    expect(stdout).toBe(stripVTControlCharacters(stdout))
  })

  it('come with FORCE_COLOR, in the report and in the help', async () => {
    vi.stubEnv('FORCE_COLOR', '1')
    vi.stubEnv('KVM_PPC_BACKEND', 'software')
    for (const args of [['info'], ['--help'], ['registers'], ['demo']]) {
      const { stdout } = await commandLine(args)
      expect(stdout, args.join()).not.toBe(stripVTControlCharacters(stdout))
    }
  })

  it('come on a terminal unless NO_COLOR says no', async () => {
    const terminal = { isTTY: true, columns: 100, hasColors: () => true }
    const before = Object.getOwnPropertyDescriptors(process.stdout)
    Object.assign(process.stdout, {
      ...terminal,
      getColorDepth: () => (process.env['NO_COLOR'] === undefined ? 8 : 1),
    })
    try {
      vi.stubEnv('KVM_PPC_BACKEND', 'software')
      const coloured = (await commandLine(['info'])).stdout
      vi.stubEnv('NO_COLOR', '1')
      const plain = (await commandLine(['info'])).stdout
      expect(plain).toBe(stripVTControlCharacters(plain))
      expect(coloured).not.toBe(stripVTControlCharacters(coloured))
      expect(
        Math.max(
          ...plain
            .split('\n')
            .slice(2, -3)
            .map((line) => line.length),
        ),
      ).toBeLessThanOrEqual(100)
    } finally {
      for (const name of ['isTTY', 'columns', 'hasColors', 'getColorDepth']) {
        const own = before[name as keyof typeof before]
        if (own === undefined) Reflect.deleteProperty(process.stdout, name)
        else Object.defineProperty(process.stdout, name, own)
      }
    }
  })
})

describe('a table', () => {
  const rows = [
    ['a', 'some words that are long enough for two lines'],
    ['bcd', 'few'],
  ]

  it('wraps its last column where the terminal ends', () => {
    expect(table(rows, 32)).toBe(
      'a    some words that are long\n     enough for two lines\nbcd  few',
    )
  })

  it('does not where there is no end, or hardly any room', () => {
    const whole = 'a    some words that are long enough for two lines\nbcd  few'
    expect(table(rows, Infinity)).toBe(whole)
    expect(table(rows, 12)).toBe(whole)
  })

  it('may have rows that end earlier', () => {
    expect(table([...rows, ['e']], Infinity)).toMatch(/\nbcd {2}few\ne$/)
  })

  it('counts what is seen', () => {
    expect(
      table(
        [
          ['\u001b[1mab\u001b[22m', 'x'],
          ['abc', 'y'],
        ],
        80,
      ),
    ).toBe('\u001b[1mab\u001b[22m   x\nabc  y')
  })
})
