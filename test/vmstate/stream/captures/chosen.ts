import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** The numbers that a capture's stream must hold, chosen before QEMU runs. */
export interface ChosenNumbers {
  /** The processor's cycle counter, which QEMU takes for guest_timebase under TCG. */
  readonly counter: bigint
  /** QEMU's time of the day in µs. */
  readonly timeUs: bigint
}

/** All 64 bits differ from capture to capture, and are the same whenever it is made. */
export function numbersFor(capture: string): ChosenNumbers {
  const hash = createHash('sha256').update(capture).digest()
  const counter = hash.readBigUInt64BE(0)
  return { counter, timeUs: 1_700_000_000_000_000n + BigInt(hash.readUInt32BE(8)) * 1000n + 7n }
}

/** What chosen.c cannot be used for lack of, or undefined. */
export const chosenLacks =
  process.platform !== 'linux' || process.arch !== 'x64'
    ? 'Linux on x86-64, whose cycle counter QEMU saves under TCG'
    : ['cc', 'objdump'].every((tool) => spawnSync(tool, ['--version']).status === 0)
      ? undefined
      : 'cc and objdump: apt-get install gcc binutils'

/** Where a program reads the cycle counter: the hexadecimal offsets of its RDTSC instructions. */
export async function rdtscOffsets(binary: string): Promise<readonly string[]> {
  const disassembler = spawn('objdump', ['-d', '--no-show-raw-insn', binary], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const offsets: string[] = []
  for await (const line of createInterface(disassembler.stdout)) {
    const [, offset] = /^ *([0-9a-f]+):\s+rdtsc\b/.exec(line) ?? []
    if (offset !== undefined) offsets.push(offset)
  }
  if (offsets.length === 0) throw new Error(`objdump found no RDTSC in ${binary}`)
  return offsets
}

/** Compiles chosen.c into a folder; QEMU loads it by LD_PRELOAD. */
export function compileChosen(folder: string): string {
  const library = join(folder, 'chosen.so')
  const source = join(import.meta.dirname, 'chosen.c')
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O1', source, '-o', library], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`cc did not compile chosen.c: ${stderr}`)
  return library
}
