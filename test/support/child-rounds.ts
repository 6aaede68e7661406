import { readdirSync, readFileSync } from 'node:fs'
import { Host } from '../../lib/kvm/host.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { collectGarbage } from './garbage.ts'

// Opens, uses and closes hosts, VMs and vCPUs again and again, and prints the files and mappings that are left.
const rounds = Number(process.argv[2])
const kernel = new NativeKernel()

async function round(number: number): Promise<void> {
  using host = new Host(kernel)
  using vm = host.createVm()
  using vcpu = vm.createVcpu(0)
  // KVM on x86 does not have these registers; the error takes the same path through the library.
  vcpu.has('TB_OFFSET')
  if (number % 10 === 0) await vcpu.getAsync('DAR').catch(() => undefined)
}

async function run(count: number): Promise<void> {
  for (let number = 0; number < count; number++) await round(number)
}

/** The open files and mappings of this process; the last field of a mapping is its file, if any. */
async function held(): Promise<Record<string, number>> {
  await collectGarbage()
  const maps = readFileSync('/proc/self/maps', 'utf8').trimEnd().split('\n')
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    mappedFiles: maps.filter((line) => /\/|anon_inode/.test(line)).length,
    mappings: maps.length,
  }
}

// The first rounds run until Node has allocated its memory and started its threads.
await run(Math.ceil(rounds / 10))
const before = await held()
const start = performance.now()
await run(rounds)
const seconds = Math.round((performance.now() - start) / 100) / 10
console.log(JSON.stringify({ rounds, seconds, before, after: await held() }))
