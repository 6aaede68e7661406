import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { registers } from '../../lib/registers.ts'
import { emulated } from '../support/emulated.ts'
import { runExample, startExample } from '../support/run-example.ts'
import type { Ended } from '../support/run-example.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'examples-'))
const inFolder = (name: string): string => path.join(folder, name)

afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** Returns what a program printed, which must have succeeded and written nothing to standard error. */
function printed({ status, stdout, stderr }: Ended): string {
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

function numberIn(text: string, pattern: RegExp): number {
  const [, digits] = pattern.exec(text) ?? []
  if (digits === undefined) throw new Error(`No ${String(pattern)} in: ${text}`)
  return Number(digits)
}

/** Starts a live-move that waits for a guest. */
async function receiver() {
  const { child, ended } = startExample('live-move.mjs', 'receive', '0')
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { port: numberIn(line, /waits on port (\d+)\./), ended }
}

describe('the examples', { timeout: 60_000 }, () => {
  it('are all named in their README, with what runs them', () => {
    const readme = readFileSync('examples/README.md', 'utf8')
    const programs = readdirSync('examples').filter((name) => name !== 'README.md')
    for (const name of programs) expect(readme).toMatch(new RegExp(`\\]\\(${name}`))
    for (const name of programs.filter((name) => name.endsWith('.mjs'))) {
      expect(readme).toContain(`node examples/${name}`)
      expect(readFileSync(`examples/${name}`, 'utf8')).toContain(`//     node examples/${name}`)
    }
  })

  it('all-registers prints each register that this vCPU has', async () => {
    const lines = printed(await runExample('all-registers.mjs'))
      .trimEnd()
      .split('\n')
    const had = lines.length - 1
    expect(had).toBeGreaterThan(100)
    const all = Object.keys(registers).length
    expect(lines.at(-1)).toContain(`${had} of the ${all} registers`)
    expect(lines.find((line) => line.startsWith('TB_OFFSET '))).toMatch(/64 {2}0{16} /)
    expect(lines.find((line) => line.startsWith('VR0 '))).toMatch(/128 {2}0{32} {2}\S/)
  })

  it('save-and-load takes a guest out of a file with the time that passed', async () => {
    const file = inFolder('guest.json')
    const saved = printed(await runExample('save-and-load.mjs', 'save', file))
    const before = numberIn(saved, /timebase is ([\d.]+) s/)
    expect(before).toBeGreaterThan(3600)
    expect(readdirSync(folder)).not.toContain('guest.json.part')
    const loaded = printed(await runExample('save-and-load.mjs', 'load', file))
    expect(loaded).toContain('onto 2 vCPUs')
    const away = numberIn(loaded, /away for ([\d.]+) s/)
    const after = numberIn(loaded, /goes on at ([\d.]+) s/)
    // Half a step of 32.768 ms, and what three printed figures are rounded by.
    expect(Math.abs(after - before - away)).toBeLessThan(0.0165 + 0.0015)
    expect(away).toBeGreaterThan(0)
  })

  it('hot-plug gives the new vCPU the time of the other', async () => {
    expect(printed(await runExample('hot-plug.mjs'))).toMatch(
      /TB_OFFSET 1843212058624,\n.* in 0: .*\nNow both have 1843212058624: true\.\n.*timebase is (\d+),.*\n.* is \1\./,
    )
  })

  it('borrowed-vcpu leaves what it borrowed open', async () => {
    expect(printed(await runExample('borrowed-vcpu.mjs'))).toMatch(
      /vCPUs 0 \(fd (\d+)\), 1 \(fd \d+\) were borrowed\.\n.*\n.*fd \1 is still vCPU 0's: true\./,
    )
  })

  it('from-qemu goes on where QEMU stopped the guest', async () => {
    const file = inFolder('guest.stream')
    writeFileSync(
      file,
      gunzipSync(readFileSync('test/vmstate/stream/data/good/kvm-running.bin.gz')),
    )
    const stdout = printed(await runExample('from-qemu.mjs', file))
    expect(stdout).toContain('stopped the guest on 2026-11-22T21:27:57.745Z')
    expect(stdout).toContain('timebase was 7008921177.')
    const ahead = numberIn(stdout, /goes on here at (\d+)/) - 7008921177
    expect(ahead).toBeGreaterThanOrEqual(2 ** 24)
    expect(ahead).toBeLessThan(2 ** 25)
  })

  it('live-move moves a guest from one process to another', async () => {
    const { port, ended } = await receiver()
    const sent = printed(await runExample('live-move.mjs', 'send', `${port}`))
    expect(sent).toMatch(/Source: the guest runs over there, after [\d.]+ ms/)
    const received = printed(await ended)
    expect(received).toContain('4 vCPUs have TB_OFFSET')
    expect(numberIn(received, /goes on ([\d.]+) ms after the stop/)).toBeGreaterThanOrEqual(0)
    expect(received).toContain('DAR: 1000, 1001, 1002, 1003')
    expect(received).not.toContain('does not hold')
  })
})

// Not on the emulated host: these fail in the same way on any processor, and Node takes ten seconds to start there.
if (!emulated) {
  describe('a live-move that goes wrong', { timeout: 60_000 }, () => {
    /** Returns how a sender ends that gets this answer. */
    async function sentTo(answer: string): Promise<Ended> {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        socket.resume().on('end', () => socket.end(answer))
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      try {
        return await runExample('live-move.mjs', 'send', `${port}`)
      } finally {
        server.close()
      }
    }

    it('lets the guest run on at the source if the destination does not take it', async () => {
      expect(await sentTo('This host has another frequency')).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/the guest runs on here, .* another frequency/) as unknown,
      })
    })

    it('keeps the guest stopped while it is not known where it runs', async () => {
      expect(await sentTo('')).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('stays stopped') as unknown,
      })
    })

    it('answers what it did not take, and why', async () => {
      const { port, ended } = await receiver()
      const socket = connect({ port, host: '127.0.0.1' }).end('{}')
      expect(await text(socket)).toMatch(/^This is not a saved ONE_REG state/)
      expect(await ended).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/^This is not a saved ONE_REG state/) as unknown,
      })
    })
  })

  describe('wrong input to an example', { timeout: 60_000 }, () => {
    const wrong: [string, string[], number, RegExp][] = [
      ['save-and-load.mjs', [], 2, /^Usage: node examples\/save-and-load\.mjs/],
      ['save-and-load.mjs', ['delete', 'guest.json'], 2, /^Usage: /],
      ['save-and-load.mjs', ['load', '/none'], 1, /^ENOENT.*\nUsage: /],
      [
        'save-and-load.mjs',
        ['load', 'package.json'],
        1,
        /^This is not a saved timebase.*\nUsage: /,
      ],
      ['live-move.mjs', ['send'], 2, /^Usage: node examples\/live-move\.mjs/],
      ['live-move.mjs', ['receive', '99999'], 1, /65536/],
      ['live-move.mjs', ['send', '1'], 1, /^connect ECONNREFUSED/],
      ['borrowed-vcpu.mjs', ['a', 'b'], 2, /^Usage: node examples\/borrowed-vcpu\.mjs/],
      ['borrowed-vcpu.mjs', ['/none.mjs'], 1, /^Cannot find module '\/none\.mjs'.*\nUsage: /],
      ['from-qemu.mjs', [], 2, /^Usage: node examples\/from-qemu\.mjs/],
      ['from-qemu.mjs', ['/none'], 1, /^ENOENT.*\nUsage: /],
      ['from-qemu.mjs', ['package.json'], 1, /^This is not a migration stream.*\nUsage: /],
    ]

    it.each(wrong)('%s %j', async (program, args, status, stderr) => {
      expect(await runExample(program, ...args)).toEqual({
        status,
        stdout: '',
        stderr: expect.stringMatching(stderr) as unknown,
      })
    })
  })
}
