import { describe, expect, it } from 'vitest'
import { VmstateError } from '../../lib/errors.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { cpu, cpuTimebase, cpuTimebaseToState, decode, encode } from '../../lib/vmstate/index.ts'
import type { StateOf } from '../../lib/vmstate/index.ts'
import { caught } from '../support/caught.ts'
import { hostPair, STEP } from '../support/host-pair.ts'

const POWER8 = 0x4d0200n

const atVersion5: StateOf<typeof cpu> = {
  pvr: POWER8,
  gpr: Array.from({ length: 32 }, (_, index) => BigInt(index)),
  crf: Array.from({ length: 8 }, (_, index) => index),
  nip: 0x100n,
  spr: Array.from({ length: 1024 }, (_, index) => BigInt(index) << 32n),
  spe_acc: 0n,
  reserve_addr: 2n ** 64n - 1n,
  msr: 0x8000000000000000n,
  hflags_nmsr: 0n,
  msr_mask: 1n,
  insns_flags: 2n,
  insns_flags2: 3n,
  nb_BATs: 8,
}

const timebase: StateOf<typeof cpuTimebase> = {
  timebase: 0x0123456789abcdefn,
  tb_offset: -0x1000000n,
  time_of_the_day: 1_378_199_251_000_000n,
  tb_freq: 512_000_000,
}

const atVersion6 = { ...atVersion5, timebase }

const destination = {
  pvr: POWER8,
  msr_mask: 1n,
  insns_flags: 2n,
  insns_flags2: 3n,
  nb_BATs: 8,
  timebase: { tb_freq: 512_000_000 },
}

/** The timebase stands behind the fields of version 5. */
const LENGTH_OF_VERSION_5 = 8 + 32 * 8 + 8 * 4 + 8 + 1024 * 8 + 7 * 8 + 4

describe("the patch's cpu", () => {
  it('has the timebase in place from version 6 on', () => {
    const bytes = encode(cpu, atVersion6)
    expect(bytes.length).toBe(LENGTH_OF_VERSION_5 + 28)
    expect(bytes.subarray(LENGTH_OF_VERSION_5)).toStrictEqual(encode(cpuTimebase, timebase))
    expect(decode(cpu, bytes, { destination })).toStrictEqual(atVersion6)
  })

  it('has none at version 5, on either end', () => {
    const bytes = encode(cpu, atVersion6, { versionId: 5 })
    expect(bytes.length).toBe(LENGTH_OF_VERSION_5)
    const state = decode(cpu, bytes, { versionId: 5, destination })
    expect(state).toStrictEqual(atVersion5)
    expect(state.timebase).toBeUndefined()
  })

  it('leaves the offset of a vCPU alone at version 5', () => {
    const { destination: side } = hostPair({ ids: [0] })
    side.setOffsets(STEP)
    for (const [versionId, moves] of [
      [5, false],
      [6, true],
    ] as const) {
      const bytes = encode(cpu, atVersion6, { versionId })
      const { timebase } = decode(cpu, bytes, { versionId, destination })
      if (timebase !== undefined) {
        const asked = { uncertaintyNs: 1_000n, vcpus: [] }
        loadTimebase(side.vcpus, cpuTimebaseToState(timebase, asked), { downtime: 'freeze' })
      }
      expect(side.vcpu(0).get('TB_OFFSET') !== STEP).toBe(moves)
    }
  })

  it('is refused at version 6 without it', () => {
    const bytes = encode(cpu, atVersion5, { versionId: 5 })
    const error = caught(VmstateError, () => decode(cpu, bytes, { destination }))
    expect(error).toMatchObject({
      code: 'ERR_VMSTATE_TRUNCATED',
      offset: LENGTH_OF_VERSION_5,
      message: expect.stringContaining(
        'cpu.timebase.timebase needs 8 bytes, and 0 are left',
      ) as string,
    })
    expect(caught(VmstateError, () => encode(cpu, atVersion5)).message).toBe(
      'cpu.timebase must be written, and is missing',
    )
  })

  it('is refused at version 5 with it', () => {
    const bytes = encode(cpu, atVersion6)
    expect(() => decode(cpu, bytes, { versionId: 5, destination })).toThrow(
      'cpu ends here, and 28 bytes follow',
    )
  })

  it.each([4, 7])('is refused at version %i, by name', (versionId) => {
    const error = caught(VmstateError, () =>
      decode(cpu, encode(cpu, atVersion6), { versionId, destination }),
    )
    expect(error).toMatchObject({ code: 'ERR_VMSTATE_VERSION', offset: 0 })
    expect(error.message).toMatch(
      `cpu has version ${versionId}, and this description reads versions 5 to 6`,
    )
  })

  it('is refused with both values for another frequency', () => {
    const other = { ...destination, timebase: { tb_freq: 33_333_333 } }
    const error = caught(VmstateError, () =>
      decode(cpu, encode(cpu, atVersion6), { destination: other }),
    )
    expect(error).toMatchObject({
      code: 'ERR_VMSTATE_MISMATCH',
      offset: LENGTH_OF_VERSION_5 + 24,
      message: expect.stringContaining(
        'cpu.timebase.tb_freq must be equal: it is 512000000 here, and 33333333 at the destination',
      ) as string,
    })
  })

  it('is refused for another processor', () => {
    expect(() =>
      decode(cpu, encode(cpu, atVersion6), { destination: { ...destination, pvr: 0x4e1200n } }),
    ).toThrow('cpu.pvr must be equal: it is 5046784n here, and 5116416n at the destination')
  })

  it('is refused by a destination that has no timebase to load it into: "NO TB!"', () => {
    const { pvr, msr_mask, insns_flags, insns_flags2, nb_BATs } = destination
    const without = { pvr, msr_mask, insns_flags, insns_flags2, nb_BATs }
    const error = caught(VmstateError, () =>
      decode(cpu, encode(cpu, atVersion6), { destination: without }),
    )
    expect(error).toMatchObject({ code: 'ERR_VMSTATE_MISSING', offset: LENGTH_OF_VERSION_5 })
    expect(error.message).toMatch('cpu.timebase is here, and the destination has none')
    const bytes = encode(cpu, atVersion5, { versionId: 5 })
    expect(decode(cpu, bytes, { versionId: 5, destination: without })).toStrictEqual(atVersion5)
  })

  it('has the subsections of a 64-bit processor', () => {
    const whole: StateOf<typeof cpu> = {
      ...atVersion6,
      fpu: { fpr: Array.from({ length: 32 }, () => 1n), fpscr: 2n },
      altivec: { avr: Array.from({ length: 32 }, () => new Uint8Array(16).fill(3)), vscr: 4 },
      vsx: { vsr: Array.from({ length: 32 }, () => 5n) },
      sr: { sr: Array.from({ length: 32 }, () => 6n) },
      slb: { slb_nr: 32, slb: Array.from({ length: 64 }, () => ({ esid: 7n, vsid: 8n })) },
    }
    const own = { ...destination, slb: { slb_nr: 32 } }
    expect(decode(cpu, encode(cpu, whole), { destination: own })).toStrictEqual(whole)
    expect(() =>
      decode(cpu, encode(cpu, whole), { destination: { ...own, slb: { slb_nr: 64 } } }),
    ).toThrow('cpu.slb.slb_nr must be equal: it is 32 here, and 64 at the destination')
  })
})
