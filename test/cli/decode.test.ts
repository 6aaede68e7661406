import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { run } from '../../lib/cli/program.ts'
import { withProgress } from '../../lib/cli/progress.ts'
import { serializeTimebase } from '../../lib/index.ts'
import { cpuTimebase, encode, spapr } from '../../lib/vmstate/index.ts'
import { emulated } from '../support/emulated.ts'
import { ordinary } from '../vmstate/stream/build.ts'
import { imageWith } from '../vmstate/stream/build-qcow2.ts'
import { readExpected, readStreamFile } from '../vmstate/stream/expected.ts'

const main = fileURLToPath(new URL('../../lib/cli/main.ts', import.meta.url))
const built = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const folder = fileURLToPath(new URL('../vmstate/stream/data', import.meta.url))
const { good } = await readExpected(folder)
const mini = join(folder, 'good/f-mini.bin.gz')

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'decode-'))
})
afterAll(() => rm(scratch, { recursive: true }))

async function saved(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(scratch, name)
  await writeFile(path, bytes)
  return path
}

/** Runs the command line in this process, with these bytes on its standard input. */
async function decode(args: readonly string[], input: Uint8Array = Buffer.alloc(0)) {
  const output = { stdout: '', stderr: '' }
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([input]) as never)
  vi.spyOn(console, 'log').mockImplementation((text: string) => (output.stdout += `${text}\n`))
  vi.spyOn(console, 'error').mockImplementation((text: string) => (output.stderr += `${text}\n`))
  vi.spyOn(process.stderr, 'write').mockImplementation(
    (text) => (output.stderr += text as string) !== '',
  )
  try {
    return { status: await run(['decode', ...args]), ...output }
  } finally {
    vi.restoreAllMocks()
  }
}

/** The same as a program: on an emulated processor the built one, since tsx takes half a minute there. */
async function decodeAsProgram(args: readonly string[], input: Uint8Array) {
  const program = emulated ? [built] : ['--import', 'tsx', main]
  const child = spawn(process.execPath, [...program, 'decode', ...args])
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (text: Buffer) => (output.stdout += text.toString()))
  child.stderr.on('data', (text: Buffer) => (output.stderr += text.toString()))
  // It need not read all of what it refuses.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [status] = (await once(child, 'close')) as [number]
  return { status, ...output }
}

const state = {
  guestTimebase: 2n ** 64n - 1n,
  timeOfDayNs: -1n,
  timebaseFrequency: 512_000_000n,
  uncertaintyNs: 40n,
  offset: 1n << 24n,
  vcpus: [{ id: 0, decExpiry: 7n }],
}

describe('decode', () => {
  it('sums a migration stream up', async () => {
    const { status, stdout, stderr } = await decode([mini])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^machine +pseries-3\.1$/m)
    expect(stdout).toMatch(/^ +guest_timebase +13,251,089,587,978,249,179 /m)
    expect(stdout).toMatch(/^ +time_of_the_day +2022-04-15T05:20:17\.000001000Z /m)
    expect(stdout).toMatch(/^ +full +528 +spapr +0 +3 +52321 +329$/m)
    expect(stdout).toContain('Not in it: the frequency of the timebase')
    expect(stdout).not.toContain('env.nip')
  })

  it('sums up RAM in several blocks, and sections in parts', async () => {
    const { stdout } = await decode([join(folder, 'good/f-devices.bin.gz')])
    expect(stdout).toMatch(/^RAM +268,959,744 bytes in 3 blocks, the largest ppc_spapr\.ram$/m)
    expect(stdout).toMatch(/^ +part × 1 +2 +ram +0 +4 +212 +2089857$/m)
  })

  it('names the commands', async () => {
    const { stdout } = await decode([join(folder, 'good/f-commands.bin.gz')])
    expect(stdout).toMatch(/^commands +OPEN_RETURN_PATH, PING, POSTCOPY_ADVISE$/m)
  })

  it('shows every field with --all', async () => {
    const { stdout } = await decode([mini, '--all'])
    expect(stdout).toMatch(/^ {2}env\.nip +\d+$/m)
    expect(stdout).toMatch(/^ {2}irqs\[0\] +server 0, priority 255, /m)
    expect(stdout).toMatch(/^ {4}guest_timebase +13251089587978249179$/m)
    expect(stdout).toContain('subsection cpu/slb, version 1')
  })

  it('prints JSON without losing a bit', async () => {
    const { stdout } = await decode([mini, '--json'])
    const stream = JSON.parse(stdout) as Record<string, unknown>
    expect(stream).toMatchObject({
      format: 'qemu-stream',
      machine: 'pseries-3.1',
      timebase: { guestTimebase: '13251089587978249179', timeOfDayNs: '1650000017000001000' },
      ramBlocks: [{ name: '/objects/m0', length: '268435456' }],
    })
    expect(stream).not.toHaveProperty('devices')
  })

  it('prints every field as JSON with --all', async () => {
    const { stdout } = await decode([mini, '--json', '--all'])
    const { devices } = JSON.parse(stdout) as {
      devices: { name: string; fields: Record<string, unknown> }[]
    }
    const fields = (name: string) => devices.find((device) => device.name === name)?.fields
    expect(fields('timer')).toEqual({
      cpu_ticks_offset: '0',
      unused: '0000000000000000',
      cpu_clock_offset: '0',
    })
    const spr = fields('cpu')?.['env.spr']
    expect(spr).toHaveLength(1024)
    expect(spr).toContain('0')
  })

  it('reads standard input, packed by gzip or not', async () => {
    const packed = await readStreamFile(folder, 'good/f-mini-radix.bin.gz')
    for (const bytes of [packed, gzipSync(packed)]) {
      const { status, stdout } = await decode(['-'], bytes)
      expect(status).toBe(0)
      expect(stdout).toMatch(/^hash page table +none$/m)
    }
  })

  it('looks for the timebase with --search only', async () => {
    const stream = good['f-no-vmdesc-tiny']
    const path = join(folder, stream?.file ?? '')
    const refused = await decode([path])
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toMatch(/^kvm-ppc-onereg: The stream has no description .* search /)
    const { status, stdout } = await decode([path, '--search', '--json'])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      timebase: { guestTimebase: stream?.guest_timebase, searched: true },
    })
  })

  it('knows a saved timebase', async () => {
    const path = await saved('state.json', `\n${serializeTimebase(state)}`)
    const { stdout } = await decode([path])
    expect(stdout).toMatch(/guestTimebase +18,446,744,073,709,551,615 ticks at 512,000,000 Hz/)
    expect(stdout).toMatch(/timeOfDayNs +1969-12-31T23:59:59\.999999999Z/)
    expect(stdout).toMatch(/vcpus\[0\] +id 0, decExpiry 7/)
    expect(JSON.parse((await decode([path, '--json'])).stdout)).toMatchObject({
      format: 'kvm-ppc-onereg/timebase',
      guestTimebase: '18446744073709551615',
    })
  })

  it('knows a saved timebase with a byte order mark', async () => {
    const text = `\ufeff${serializeTimebase(state)}`
    for (const bytes of [
      Buffer.from(text),
      Buffer.from(text, 'utf16le'),
      Buffer.from(text, 'utf16le').swap16(),
    ]) {
      const { status, stdout } = await decode(['-'], bytes)
      expect(status).toBe(0)
      expect(stdout).toContain('18,446,744,073,709,551,615 ticks')
    }
  })

  it("shows the domain of libvirt's save image, and what is behind the stream", async () => {
    const cases = new URL('../vmstate/stream/data/cases/', import.meta.url)
    const image = Buffer.concat([
      gunzipSync(readFileSync(new URL('libvirt-header.gz', cases))),
      await readStreamFile(folder, 'good/f-mini-radix.bin.gz'),
      Buffer.alloc(4096),
    ])
    const { stdout } = await decode([await saved('guest.save', image)])
    expect(stdout).toMatch(
      /^libvirt image +of the domain guest1, machine pseries-11\.1; format raw;/m,
    )
    expect(stdout).toMatch(/^behind the stream +4,096 bytes, which are not part of it$/m)
  })

  it('shows the snapshot of a qcow2 image', async () => {
    const named = (name: string, id: string) => ({ id, name, vmState: ordinary })
    const image = await saved('disk.qcow2', imageWith([named('before', '1'), named('after', '2')]))
    const { stdout } = await decode([image, '--snapshot', 'after'])
    expect(stdout).toMatch(/^qcow2 image +its snapshot after \(id 2\)$/m)
    const refused = await decode([image])
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toContain('before (id 1), after (id 2); choose one with')
  })

  it('needs a file for a qcow2 image', async () => {
    const image = imageWith([{ id: '1', name: 'before', vmState: ordinary }])
    for (const { status, stderr } of [
      await decode(['-'], image),
      await decode([await saved('disk.qcow2.gz', gzipSync(image))]),
    ]) {
      expect(status).toBe(1)
      expect(stderr).toContain('can be read from the path of the file')
    }
  })

  it('knows a VMState that is named with --format', async () => {
    const bytes = encode(cpuTimebase, {
      timebase: 5n,
      tb_offset: -6n,
      time_of_the_day: 7n,
      tb_freq: 512_000_000,
    })
    const { stdout } = await decode([await saved('seed', bytes), '--format', 'cpu-timebase'])
    expect(stdout).toMatch(/^cpu-timebase, version 1\n {2}timebase +5\n {2}tb_offset +-6\n/)
  })

  it('finds out the version of a VMState', async () => {
    const tb = { guest_timebase: 1n, time_of_the_day_ns: 2n }
    const bytes = encode(spapr, { rtc_offset: 3n, tb }, { versionId: 2 })
    const { stdout } = await decode(['-', '--format', 'spapr', '--json'], bytes)
    expect(JSON.parse(stdout)).toMatchObject({ versionId: 2, state: { rtc_offset: '3' } })
  })
})

describe('decode fails with 1 and a line on stderr', () => {
  const line = /^kvm-ppc-onereg: [^\n]+\n$/

  it.each([
    ['a file that is not there', '/nowhere/at-all', /ENOENT/],
    ['a directory', '/', /EISDIR/],
    ['a file of another kind', main, /neither a migration stream of QEMU nor a saved timebase/],
  ])('for %s', async (_, path, message) => {
    const { status, stdout, stderr } = await decode([path])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(line)
    expect(stderr).toMatch(message)
  })

  it.each([
    ['nothing at all', Buffer.alloc(0), /neither/],
    ['half a stream', Buffer.from('QEVM\0\0\0\x03'), /byte 8, 0x8/],
    ['half of what gzip made', readFileSync(mini).subarray(0, 1000), /unexpected end/],
    ['what only begins like gzip', Buffer.from([0x1f, 0x8b, 0xff, 0xff]), /compression method/],
    ['what xz packed', Buffer.from('fd377a585a0000', 'hex'), /unxz/],
    ['other JSON', Buffer.from('{"format": "other"}'), /not a saved timebase/],
  ])('for %s', async (_, bytes, message) => {
    const { status, stdout, stderr } = await decode(['-'], bytes)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(line)
    expect(stderr).toMatch(message)
  })

  it('for a VMState that its description does not fit', async () => {
    const { status, stderr } = await decode(['-', '--format', 'cpu'], Buffer.alloc(40))
    expect(status).toBe(1)
    expect(stderr).toMatch(/^kvm-ppc-onereg: cpu\.\w+ .*at byte 8/)
  })
})

describe('decode fails with 2', () => {
  it.each([
    ['no file', []],
    ['two files', [mini, mini]],
    ['an unknown format', [mini, '--format', 'qcow2']],
    ['an unknown option', [mini, '--everything']],
  ])('for %s', async (_, args) => {
    const { status, stderr } = await decode(args)
    expect(status).toBe(2)
    expect(stderr).toMatch(/^error: /)
  })
})

describe('the program', () => {
  it('prints its errors on stderr and ends with 1', { timeout: 60_000 }, async () => {
    const { status, stdout, stderr } = await decodeAsProgram(['-'], Buffer.from('QEVM'))
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^kvm-ppc-onereg: .*at byte 4/)
  })

  // The same on any processor, and an emulated one takes ten seconds to start a program.
  if (emulated) return
  it('prints the rest on stdout and ends with 0', { timeout: 60_000 }, async () => {
    const { status, stdout, stderr } = await decodeAsProgram([mini], Buffer.alloc(0))
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^A migration stream /)
  })
})

describe('the progress bar', () => {
  async function* chunks() {
    for (let index = 0; index < 4; index++) {
      await new Promise((resolve) => setTimeout(resolve, 110))
      yield Buffer.alloc(50)
    }
  }

  async function written(size: number, isTTY: boolean): Promise<string> {
    let text = ''
    const terminal = { isTTY, write: (piece: string) => (text += piece) !== '' }
    let bytes = 0
    for await (const chunk of withProgress(chunks(), size, terminal)) bytes += chunk.length
    expect(bytes).toBe(200)
    return text
  }

  it('is drawn on a terminal for a large file, and cleared', async () => {
    const text = await written(200_000_000, true)
    expect(text).toMatch(/^\r\[ {40}\] {3}0 %/)
    expect(text.split('\r').length).toBeGreaterThan(3)
    expect(text.endsWith('\r\x1b[K')).toBe(true)
  })

  it.each([
    ['for a small file', 100_000_000, true],
    ['elsewhere', 200_000_000, false],
  ])('is not drawn %s', async (_, size, isTTY) => {
    expect(await written(size, isTTY)).toBe('')
  })
})
