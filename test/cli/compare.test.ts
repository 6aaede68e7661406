import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { commandLine } from '../support/command-line.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'compare-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** The registers of a host as `registers --probe --json` lists them, by name. */
const host: Readonly<Record<string, object>> = {
  DAR: { width: 64, value: '0' },
  DSISR: { width: 32, value: 5 },
  VR0: { width: 128, value: '0'.repeat(32) },
  TFHAR: { width: 64, error: 'EINVAL' },
  VTB: { width: 64, value: '100' },
}

function list(changes: Readonly<Record<string, object | undefined>> = {}, fields = {}): string {
  const registers = Object.entries({ ...host, ...changes }).flatMap(([name, rest]) =>
    rest === undefined ? [] : { name, ...rest },
  )
  const machine = 'linux-ppc64, Linux 6.12'
  const document = { version: 1, format: 'kvm-ppc-onereg/register-list', machine, registers }
  return JSON.stringify({ ...document, ...fields })
}

let files = 0
function file(text: string): string {
  const name = path.join(folder, `${files++}.json`)
  writeFileSync(name, text)
  return name
}

const compare = (source: string, destination: string) =>
  commandLine(['compare', file(source), file(destination)])

describe('compare', () => {
  it('finds no fault with two hosts alike, whose time registers count', async () => {
    const other = list({ VTB: { width: 64, value: '200' } })
    const { status, stdout, stderr } = await compare(list(), other)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toBe(
      'source       4 registers can be read on linux-ppc64, Linux 6.12\n' +
        'destination  4 registers can be read on linux-ppc64, Linux 6.12\n\n' +
        'The destination has every register that the source has.\n',
    )
  })

  it.each([
    ['with an error', { DAR: { width: 64, error: 'ENXIO' } }, 'ENXIO'],
    ['which is not listed', { DAR: undefined }, 'not listed'],
  ])('ends with 1 for a register that the destination lacks, %s', async (_, changes, shown) => {
    const { status, stdout } = await compare(list(), list(changes))
    expect(status).toBe(1)
    expect(stdout).toMatch(
      new RegExp(`^DAR +0x0{16} +${shown} +the destination lacks it: .* is lost$`, 'm'),
    )
    expect(stdout).toMatch(/\nThe destination lacks registers of the source: DAR\.\n$/)
  })

  it('shows differences that do no harm', async () => {
    const { status, stdout } = await compare(
      list(),
      list({
        DSISR: { width: 32, value: 6 },
        VR0: { width: 128, value: 'ff'.repeat(16) },
        TFHAR: { width: 64, value: '0' },
      }),
    )
    expect(status).toBe(0)
    expect(stdout).toMatch(/^DSISR +0x00000005 +0x00000006 +differs on a new vCPU/m)
    expect(stdout).toMatch(/^VR0 +0{32} +(ff){16} +differs on a new vCPU/m)
    expect(stdout).toMatch(/^TFHAR +EINVAL +0x0{16} +the guest does not know it/m)
  })

  it('takes one of the files from standard input, and not both', async () => {
    const one = await commandLine(['compare', '-', file(list())], Buffer.from(list()))
    expect(one.status).toBe(0)
    const both = await commandLine(['compare', '-', '-'], Buffer.from(list()))
    expect({ status: both.status, stdout: both.stdout }).toEqual({ status: 2, stdout: '' })
    expect(both.stderr).toMatch(/only one of the two[^]*\(try 'kvm-ppc-onereg compare --help'\)/)
  })

  it.each<[what: string, text: string, message: RegExp]>([
    ['no JSON', '[', /is not JSON/],
    ['another document', list({}, { format: 'other' }), /must be "kvm-ppc-onereg\/register-list"/],
    ['a newer version', list({}, { version: 2 }), /version 2; this release reads version 1/],
    ['no registers', list({}, { registers: 5 }), /"registers" must be an array/],
    ['a row that is not an object', list({}, { registers: [5] }), /registers\[0\] must be an obj/],
    [
      'a list without --probe',
      list({ DAR: { width: 64 } }),
      /make the list with registers --probe/,
    ],
    ['a number for 64 bits', list({ DAR: { width: 64, value: 5 } }), /registers\[0\]\.value/],
    ['a value too long', list({ DSISR: { width: 32, value: 2 ** 32 } }), /registers\[1\]\.value/],
    ['an unknown width', list({ DAR: { width: 8, value: '5' } }), /registers\[0\]\.value/],
    ['a name that controls the terminal', list({ '\u001b[2J': { width: 64 } }), /\.name" must be/],
  ])('refuses %s', async (_, text, message) => {
    const { status, stdout, stderr } = await compare(list(), text)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^kvm-ppc-onereg: .*\n$/)
    expect(stderr).toMatch(message)
  })

  it('shows the name of a machine without its control characters', async () => {
    const { stdout } = await compare(list(), list({}, { machine: 'a\u001b[2Jb' }))
    expect(stdout).toContain('can be read on a\\u001b[2Jb')
  })
})
