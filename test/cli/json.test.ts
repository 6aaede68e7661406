import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serializeTimebase } from '../../lib/index.ts'
import { encode, timebase } from '../../lib/vmstate/index.ts'
import { commandLine } from '../support/command-line.ts'
import { emulated } from '../support/emulated.ts'
import { ordinary } from '../vmstate/stream/build.ts'
import { imageWith } from '../vmstate/stream/build-qcow2.ts'

const schema = JSON.parse(
  readFileSync(new URL('../../docs/cli.schema.json', import.meta.url), 'utf8'),
) as { $defs: Record<string, object> }
const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true }).addSchema(schema, 'cli')
const streams = fileURLToPath(new URL('../vmstate/stream/data/good', import.meta.url))

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'json-'))
})
afterAll(() => rm(scratch, { recursive: true }))

/** Runs a command with --json and holds what it prints to its part of the schema. */
async function validated(part: string, args: readonly string[]): Promise<unknown> {
  const { stdout } = await commandLine([...args, '--json'])
  const document: unknown = JSON.parse(stdout)
  expect(document).toHaveProperty('version', 1)
  const validate = ajv.getSchema(`cli#/$defs/${part}`)
  expect(validate?.(document), JSON.stringify(validate?.errors)).toBe(true)
  return document
}

async function saved(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(scratch, name)
  await writeFile(path, bytes)
  return path
}

describe('docs/cli.schema.json describes what --json prints', () => {
  it('of info', async () => {
    expect(await validated('info', ['info'])).toMatchObject({ ok: true })
  })

  it('of registers', async () => {
    const listed = await validated('registers', ['registers'])
    expect((listed as { registers: unknown[] }).registers).not.toHaveLength(0)
    const probed = await validated('registers', ['registers', '--probe', 'TB_OFFSET', 'HIOR'])
    expect(probed).toMatchObject({
      registers: [
        { name: 'TB_OFFSET', value: '0' },
        { name: 'HIOR', value: '0' },
      ],
    })
  })

  it('of compare', async () => {
    const { stdout } = await commandLine(['registers', '--probe', '--json'])
    const lacking = stdout.replace(/("name": "DAR",[^}]*)"value": "0"/, '$1"error": "EINVAL"')
    const source = await saved('source', stdout)
    const destination = await saved('destination', lacking)
    expect(await validated('compare', ['compare', source, source])).toMatchObject({ ok: true })
    expect(await validated('compare', ['compare', source, destination])).toMatchObject({
      ok: false,
      differences: [{ name: 'DAR', kind: 'lost', destination: { error: 'EINVAL' } }],
    })
  })

  it('of demo', async () => {
    expect(await validated('demo', ['demo'])).toMatchObject({ verdict: { ok: true } })
  })

  it('of check, plan and decode for a saved timebase', async () => {
    const state = {
      guestTimebase: 2n ** 64n - 1n,
      timeOfDayNs: -1n,
      timebaseFrequency: 512_000_000n,
      uncertaintyNs: 40n,
      offset: 1n << 24n,
      roundingTicks: -5n,
      vcpus: [{ id: 0, decExpiry: 7n }],
      clock: { synchronised: true, maxErrorNs: 5n },
    }
    const file = await saved('state', serializeTimebase(state))
    await validated('state', ['decode', file])
    expect(await validated('checkState', ['check', file])).toMatchObject({ ok: true })
    await validated('plan', ['plan', '--downtime', 'freeze', file])
  })

  it('of decode for a VMState', async () => {
    const bytes = encode(timebase, { guest_timebase: 1n, time_of_the_day_ns: -2n })
    const file = await saved('blob', bytes)
    await validated('vmstate', ['decode', '--format', 'qemu-timebase', file])
  })

  it('of decode for streams', { timeout: 300_000 }, async () => {
    for (const name of (await readdir(streams)).slice(0, emulated ? 3 : undefined)) {
      await validated('stream', ['decode', '--search', '--all', join(streams, name)])
    }
  })

  it('of decode for a stream in an image', async () => {
    const image = imageWith([{ id: '1', name: 'before', vmState: ordinary }])
    const file = await saved('disk.qcow2', image)
    expect(await validated('stream', ['decode', file])).toMatchObject({
      snapshot: { id: '1', name: 'before' },
    })
  })

  it('and refuses numbers for 64 bits, and what it does not know', () => {
    const validate = ajv.getSchema('cli#/$defs/timers')
    expect(validate?.({ id: 0, vtb: '5' })).toBe(true)
    expect(validate?.({ id: 0, vtb: 5 })).toBe(false)
    expect(validate?.({ id: 0, tb: '5' })).toBe(false)
  })
})
