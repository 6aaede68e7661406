import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import {
  cpu,
  decode,
  encode,
  qemuTimebaseToState,
  readQemuStream,
  readQemuTimebase,
  spapr,
} from '../../../lib/vmstate/index.ts'
import type { QemuDevice, QemuStream } from '../../../lib/vmstate/index.ts'
import { describeUnless } from '../../support/lacking.ts'
import { qemuLacks, saveQemuGuest } from '../../support/qemu-stream.ts'
import type { QemuGuestOptions } from '../../support/qemu-stream.ts'

/**
 * How long before it was stopped the guest may have read its timebase last, in ticks: 100 ms, for a busy
 * machine. On a quiet one it is the same tick, as QEMU stops the clock before the processors.
 */
const OLDEST = 51_200_000n

const firmwares = ['VOF', 'SLOF'] as const
const processors = [
  { cpu: 'POWER8', mmu: 'hash' },
  { cpu: 'POWER9', mmu: 'radix' },
] as const

const guests: QemuGuestOptions[] = firmwares.flatMap((firmware) =>
  processors.flatMap((processor) => [1, 4].map((vcpus) => ({ ...processor, vcpus, firmware }))),
)

/** The one device of that name, or the first of several. */
function device({ devices }: QemuStream, wanted: string): QemuDevice {
  const found = devices.find(({ name }) => name === wanted)
  if (found === undefined) throw new Error(`there is no section ${wanted}`)
  return found
}

// SLOF takes seconds to reach the guest's program, and more on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

describeUnless(qemuLacks, 'a stream that QEMU has just written, under TCG', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
  })
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  /** Saves a guest and reads what was saved. */
  async function fresh(options: QemuGuestOptions) {
    const file = path.join(folder, 'stream.bin')
    const guest = await saveQemuGuest(options, file)
    const bytes = readFileSync(file)
    const stream = await readQemuStream(file)
    const bytesOf = ({ offset, length }: QemuDevice) => bytes.subarray(offset, offset + length)
    return { guest, stream, bytesOf, timebase: await readQemuTimebase(file) }
  }

  it.each(guests)(
    'has the time that the guest itself read: $cpu, $mmu, $vcpus vCPUs, $firmware',
    async (options) => {
      const { guest, stream, timebase } = await fresh(options)
      const { virtualClockTimebase = -1n, timeOfDayNs } = timebase
      for (const shown of guest.timebases) expect(virtualClockTimebase).toBe(shown)
      const age = virtualClockTimebase - guest.readByGuest
      expect(age).toBeGreaterThanOrEqual(0n)
      expect(age).toBeLessThan(OLDEST)
      expect(timeOfDayNs).toBeGreaterThanOrEqual(guest.before)
      expect(timeOfDayNs).toBeLessThanOrEqual(guest.after)
      expect(stream.devices.filter(({ name }) => name === 'cpu')).toHaveLength(options.vcpus)
      expect(stream.htabShift).toBe(options.mmu === 'radix' ? undefined : 21)
    },
  )

  it('has a spapr that the description of it reads, and writes to the byte', async () => {
    for (const processor of processors) {
      const options = { ...processor, vcpus: 1, firmware: 'VOF' } as const
      const { stream, bytesOf, timebase } = await fresh(options)
      const section = device(stream, 'spapr')
      const { version: versionId } = section
      const state = decode(spapr, bytesOf(section), { versionId })
      expect(state.tb).toStrictEqual({
        guest_timebase: timebase.guestTimebase,
        time_of_the_day_ns: timebase.timeOfDayNs,
      })
      expect(state.patb_entry !== undefined).toBe(options.mmu === 'radix')
      expect(bytesOf(section).equals(encode(spapr, state, { versionId }))).toBe(true)
    }
  })

  it('has, of pseries-2.7, a cpu that version 5 of the description reads, and writes to the byte', async () => {
    const options = {
      ...processors[0],
      vcpus: 1,
      firmware: 'VOF',
      machine: 'pseries-2.7,cap-htm=off',
    } as const
    const { stream, bytesOf, guest } = await fresh(options)
    const section = device(stream, 'cpu')
    const { version: versionId } = section
    expect(versionId).toBe(5)
    const state = decode(cpu, bytesOf(section), { versionId, destination: 'unknown' })
    expect(state.timebase).toBeUndefined()
    expect(state.gpr[30]).toBe(guest.readByGuest)
    expect(state.slb?.slb_nr).toBe(32)
    // Where the processor's version was, the QEMU of today has unused bytes.
    expect(state.pvr).toBe(0n)
    expect(bytesOf(section).equals(encode(cpu, state, { versionId }))).toBe(true)
  })

  it('has a guest_timebase that is no time of the guest, but of the host', async () => {
    const options = { ...processors[0], vcpus: 1, firmware: 'VOF', neverRuns: true } as const
    const { timebase: first } = await fresh(options)
    const { timebase: second } = await fresh(options)
    expect(second.guestTimebase).toBeGreaterThan(first.guestTimebase)
    expect(second.guestTimebase).toBeGreaterThan(second.virtualClockTimebase ?? 0n)
  })

  it('becomes a state with what the caller knows of it', async () => {
    const options = { ...processors[0], vcpus: 1, firmware: 'VOF', neverRuns: true } as const
    const { timebase } = await fresh(options)
    const beyond = { timebaseFrequency: 512_000_000n, offset: 0n, uncertaintyNs: 1_000n, vcpus: [] }
    const { guestTimebase, timeOfDayNs } = timebase
    expect(qemuTimebaseToState(timebase, beyond)).toStrictEqual({
      guestTimebase,
      timeOfDayNs,
      ...beyond,
    })
  })
})
