import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { guestProgram, RUNNING } from './qemu-guest.ts'
import { Qmp } from './qmp.ts'

const PROGRAM = 'qemu-system-ppc64'

/** The reason why tests of fresh streams cannot run here, or undefined. */
export const qemuLacks =
  spawnSync(PROGRAM, ['--version']).status === 0
    ? undefined
    : `${PROGRAM}: apt-get install qemu-system-ppc`

/** A guest of pseries under TCG, to be saved. */
export interface QemuGuestOptions {
  readonly cpu: 'POWER8' | 'POWER9'
  readonly mmu: 'hash' | 'radix'
  readonly vcpus: number
  readonly firmware: 'SLOF' | 'VOF'
  /** The machine type, such as `pseries-2.7`. The default is the newest. */
  readonly machine?: string
  /** Saved before it has run, without its program. */
  readonly neverRuns?: boolean
}

/** The saved guest's values by QEMU and by the guest itself, with which the stream is compared. */
export interface SavedGuest {
  /** The timebase of each vCPU by `info registers`, in ticks. */
  readonly timebases: readonly bigint[]
  /** The timebase that the guest's program read last, in ticks; 0n if it did not run. */
  readonly readByGuest: bigint
  /** The test's wall clock before and after, in ns. */
  readonly before: bigint
  readonly after: bigint
}

/** Starts a guest, stops it, and has QEMU save it into a file. */
export async function saveQemuGuest(options: QemuGuestOptions, file: string): Promise<SavedGuest> {
  const kernel = path.join(path.dirname(file), `${options.mmu}.elf`)
  writeFileSync(kernel, guestProgram(options.mmu))
  const qemu = new Qmp(PROGRAM, argumentsFor(options, kernel))
  try {
    await qemu.execute('qmp_capabilities')
    if (options.neverRuns !== true) await runUntilItReads(qemu)
    const timebases: bigint[] = []
    for (let cpu = 0; cpu < options.vcpus; cpu++) {
      timebases.push(timebaseIn(await qemu.ask('info registers', cpu)))
    }
    const readByGuest = gpr(await qemu.ask('info registers'), 30)
    const before = BigInt(Date.now()) * 1_000_000n
    await qemu.migrateInto(file)
    const after = BigInt(Date.now() + 1) * 1_000_000n
    await qemu.execute('quit')
    return { timebases, readByGuest, before, after }
  } finally {
    qemu.kill()
  }
}

function argumentsFor(
  { cpu, vcpus, firmware, machine = 'pseries' }: QemuGuestOptions,
  kernel: string,
): string[] {
  const vof = firmware === 'VOF' ? ',x-vof=on' : ''
  const args = ['-M', `${machine},accel=tcg${vof}`, '-cpu', cpu, '-smp', `${vcpus}`, '-m', '256M']
  return [...args, '-nodefaults', '-display', 'none', '-S', '-kernel', kernel]
}

/** Lets the guest run until its program does, and then a little more. */
export async function runUntilItReads(qemu: Qmp): Promise<void> {
  await qemu.execute('cont')
  while (gpr(await qemu.ask('info registers'), 31) !== RUNNING) await sleep(50)
  await sleep(20)
  await qemu.execute('stop')
  const answer = gpr(await qemu.ask('info registers'), 29)
  if (answer !== 0n) throw new Error(`the guest could not choose its page tables: ${answer}`)
}

/** `GPR28 0000000000000000 0000000000000000 …`: four of them a line. */
function gpr(registers: string, number: number): bigint {
  const first = number - (number % 4)
  const [, values = ''] = new RegExp(
    `GPR${String(first).padStart(2, '0')}((?: [0-9a-f]{16}){4})`,
  ).exec(registers) ?? [undefined, undefined]
  const value = values.trim().split(' ')[number % 4]
  if (value === undefined || value === '') throw new Error(`no r${number} in ${registers}`)
  return BigInt(`0x${value}`)
}

/** `TB 00000001 4600387192 DECR …`: the upper half and, by its name the lower half, all 64 bits, both decimal. */
export function timebaseIn(registers: string): bigint {
  const [, upper, lower] = /\bTB (\d{8,10}) (\d{8,20}) DECR/.exec(registers) ?? []
  if (upper === undefined || lower === undefined) throw new Error(`no TB in ${registers}`)
  return (BigInt(upper) << 32n) | BigInt(lower)
}
