import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decode, encode, readQemuStream, spapr } from '../../lib/vmstate/index.ts'
import type { StateOf, timebase } from '../../lib/vmstate/index.ts'

const tb: StateOf<typeof timebase> = {
  guest_timebase: 0xb7e553c5e25223dbn,
  time_of_the_day_ns: 1_650_000_017_000_001_000n,
}

/** The timebase of a stream that QEMU 7.2 wrote. */
const tbHex = 'b7e553c5e25223db16e5fa45fcac6de8'

function hex(of: Uint8Array): string {
  return Buffer.from(of).toString('hex')
}

describe("QEMU's spapr", () => {
  it('begins with the timebase at version 3', () => {
    expect(hex(encode(spapr, { tb }))).toBe(tbHex)
    expect(decode(spapr, Buffer.from(tbHex, 'hex'))).toStrictEqual({ tb })
  })

  it('has the offset of the clock before it at version 2', () => {
    const wire = `000000000000000000000007${tbHex}`
    expect(hex(encode(spapr, { rtc_offset: 7n, tb }, { versionId: 2 }))).toBe(wire)
    expect(decode(spapr, Buffer.from(wire, 'hex'), { versionId: 2 })).toStrictEqual({
      rtc_offset: 7n,
      tb,
    })
  })

  it('has no timebase at version 1', () => {
    const wire = `000000000000000000000007`
    expect(hex(encode(spapr, { rtc_offset: 7n, tb }, { versionId: 1 }))).toBe(wire)
    expect(decode(spapr, Buffer.from(wire, 'hex'), { versionId: 1 })).toStrictEqual({
      rtc_offset: 7n,
    })
  })

  it.each([0, 4])('is refused at version %i', (versionId) => {
    expect(() => decode(spapr, Buffer.from(tbHex, 'hex'), { versionId })).toThrow(
      `spapr has version ${versionId}, and this description reads versions 1 to 3`,
    )
  })

  it('has subsections, of which the device tree says how long it is', () => {
    const state: StateOf<typeof spapr> = {
      tb,
      ov5_cas: { bitmap: new Uint8Array(256).fill(1) },
      patb_entry: { patb_entry: 2n ** 63n },
      cap_hpt_maxpagesize: { value: 16 },
      dtb: { fdt_initial_size: 2, fdt_size: 3, fdt_blob: Uint8Array.of(1, 2, 3) },
      fwnmi: {
        fwnmi_system_reset_addr: 1n,
        fwnmi_machine_check_addr: 2n,
        fwnmi_machine_check_interlock: -1,
      },
    }
    expect(decode(spapr, encode(spapr, state))).toStrictEqual(state)
  })

  it('is refused by name with a subsection that it does not know', () => {
    const name = 'spapr_pending_events'
    const wire = `${tbHex}0514${Buffer.from(name).toString('hex')}00000001`
    expect(() => decode(spapr, Buffer.from(wire, 'hex'))).toThrow(
      `spapr has no subsection '${name}' (at byte 16, 0x10)`,
    )
  })

  it.each([
    'f-mini',
    'f-mini-q10',
    'f-mini-radix',
    'f-devices',
    'f-ps2.3',
    'kvm-running',
    'l-linux-hash-p9-ignoreshared',
    't-q10-radix',
  ])('is read from a stream of QEMU, and written to the byte: %s', async (name) => {
    const file = new URL(`./stream/data/good/${name}.bin.gz`, import.meta.url)
    const bytes = gunzipSync(readFileSync(file))
    const { devices, timebase: found } = await readQemuStream(bytes)
    const section = devices.find((device) => device.name === 'spapr')
    if (section === undefined) throw new Error('there is no section spapr')
    const { offset, length, version: versionId } = section
    const blob = bytes.subarray(offset, offset + length)
    const state = decode(spapr, blob, { versionId })
    expect(state.tb).toStrictEqual({
      guest_timebase: found.guestTimebase,
      time_of_the_day_ns: found.timeOfDayNs,
    })
    expect(blob.equals(encode(spapr, state, { versionId }))).toBe(true)
  })
})
