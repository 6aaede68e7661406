import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/**
 * The host's timebase frequency in Hz, or undefined if its kernel does not tell it.
 *
 * The device tree has it for each processor, in 4 or 8 big-endian bytes. The kernel prints the same number
 * in /proc/cpuinfo, but a container may have its own file there, so that one comes second.
 *
 * @param proc the mount point of procfs
 */
export function readTimebaseFrequency(proc = '/proc'): bigint | undefined {
  return fromDeviceTree(path.join(proc, 'device-tree', 'cpus')) ?? fromCpuinfo(proc)
}

function fromDeviceTree(cpus: string): bigint | undefined {
  for (const node of entriesOf(cpus)) {
    const bytes = readIfThere(path.join(cpus, node, 'timebase-frequency'))
    if (bytes?.length !== 4 && bytes?.length !== 8) continue
    const frequency = BigInt(`0x${bytes.toString('hex')}`)
    if (frequency > 0n) return frequency
  }
  return undefined
}

function fromCpuinfo(proc: string): bigint | undefined {
  const text = readIfThere(path.join(proc, 'cpuinfo'))?.toString() ?? ''
  const frequency = BigInt(/^timebase\s*:\s*(\d+)$/m.exec(text)?.[1] ?? 0)
  return frequency > 0n ? frequency : undefined
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}
