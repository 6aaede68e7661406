import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { Host, NativeKernel } from 'kvm-ppc-onereg'
import type { OneRegBatch } from 'kvm-ppc-onereg'
import { Baseline } from './baseline.ts'
import { nsOfEmptyCall, nsOfOne } from './measure.ts'
import { rivals } from './rivals.ts'
import { table, type Row } from './table.ts'

const CALLS = 1000
/** The id of IA32_PAT in KVM on x86 (Linux 6.18), a register of 64 bits that keeps the value written to it. */
const PAT = 0x2030_0002_0000_0277n

/** The real kernel of this machine, in which every register is IA32_PAT. */
class PatKernel extends NativeKernel {
  override getOneRegs(batch: OneRegBatch): number {
    batch.ids.fill(PAT)
    return super.getOneRegs(batch)
  }

  override setOneRegs(batch: OneRegBatch): number {
    batch.ids.fill(PAT)
    return super.setOneRegs(batch)
  }
}

/** Makes the calls on a file on which the ioctl fails at once, so that only the cost of the call is left. */
class NullKernel extends NativeKernel {
  override getOneRegs(batch: OneRegBatch): number {
    super.getOneRegs(batch)
    batch.results[0] = 0
    return 0
  }

  override checkExtension(): number {
    return 1
  }

  override describe(): string {
    return 'anon_inode:kvm-vcpu:0'
  }
}

const program = new Command('npm run bench --')
  .description(
    'Times this library on this machine, beside a C program and other ways to call ioctl.',
  )
  .option('--json <file>', 'write the rows to this file too')
  .addHelpText(
    'after',
    `
On an x86 with /dev/kvm the register is IA32_PAT (Linux 6.18 and later). An ioctl on a vCPU takes
microseconds, so the library's own cost is measured on /dev/null, where the same ioctl fails at once.
On POWER: npm run bench:power.`,
  )
  .action(({ json }: { json?: string }) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-bench-'))
    try {
      const rows = measureAll(directory)
      console.log(table(rows))
      if (json !== undefined) writeFileSync(json, `${JSON.stringify(rows)}\n`)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

function measureAll(directory: string): Row[] {
  const rows: Row[] = []
  const c = path.join(directory, 'baseline')
  execFileSync('cc', ['-O2', '-o', c, path.join(import.meta.dirname, 'baseline.c'), '-lpthread'])
  rows.push(...onNull(c), ...onKvm(c), ...firstMoves(), ...imports(), ...garbage())
  return rows
}

/** The rows for /dev/null: the cost of a call without the kernel's work. */
function onNull(c: string): Row[] {
  const baseline = new Baseline(c, 2)
  baseline.run([100 * CALLS], '/dev/null')
  const ioctl = baseline.ns('get')
  const kernel = new NullKernel()
  using host = new Host(kernel, '/dev/null')
  const vcpu = host.vcpu(kernel.open('/dev/null'), 0)
  const get = nsOfOne(CALLS, () => {
    for (let call = 0; call < CALLS; call++) vcpu.get('DAR')
  })
  const call = nsOfEmptyCall(CALLS)
  return [
    { what: 'empty call of raw Node-API', ns: call },
    { what: 'get, on /dev/null', ns: get, baseline: ioctl },
    { what: "get's own, above the ioctl in C", ns: get - ioctl, goal: '80 ns' },
    ...rivals(kernel.open('/dev/null')).map(({ what, ns }): Row => ({ what, ns, baseline: ioctl })),
  ]
}

/** The rows for a real vCPU, on a machine with KVM. */
function onKvm(c: string): Row[] {
  const kernel = new PatKernel()
  const probe = kernel.open('/dev/kvm')
  if (probe < 0) {
    console.log('Without /dev/kvm there are no figures of real vCPUs: load the module kvm\n')
    return []
  }
  kernel.close(probe)
  const baseline = new Baseline(c, 2)
  baseline.run([5 * CALLS], '/dev/kvm')
  using host = new Host(kernel)
  const vcpu = host.createVm().createVcpu(0)
  if (!vcpu.has('DAR')) {
    console.log(
      'The KVM of this kernel has no ONE_REG on x86 (Linux 6.18): no figures of real vCPUs\n',
    )
    return []
  }
  const pat = vcpu.get('DAR')
  const get = nsOfOne(CALLS, () => {
    for (let call = 0; call < CALLS; call++) vcpu.get('DAR')
  })
  const set = nsOfOne(CALLS, () => {
    for (let call = 0; call < CALLS; call++) vcpu.set('DAR', pat)
  })
  const bound = vcpu.bind([
    'DAR',
    'DSCR',
    'AMR',
    'UAMOR',
    'MMCR1',
    'SIAR',
    'SDAR',
    'MMCRA',
    'PURR',
    'SPURR',
  ])
  const read = nsOfOne(CALLS, () => {
    for (let call = 0; call < CALLS / 10; call++) bound.read()
  })
  const words = new BigUint64Array(3)
  const widths = Array.from({ length: 1001 }, () => {
    kernel.sample(words)
    return Number(words[2] ?? 0n)
  })
  return [
    { what: 'get of 64 bits', ns: get, baseline: baseline.ns('get') },
    { what: 'set of 64 bits', ns: set, baseline: baseline.ns('set') },
    {
      what: 'read of 10 bound registers, each',
      ns: read,
      baseline: baseline.ns('read of 10, each'),
    },
    {
      what: 'uncertainty of a sample, median',
      ns: widths.sort((a, b) => a - b)[500] ?? NaN,
      goal: '100 ns',
    },
  ]
}

/** The rows for the first save, text, parse and load of a process, with the model unless this is a POWER host. */
function firstMoves(): Row[] {
  const program = path.join(import.meta.dirname, 'first.mjs')
  const env = { ...process.env, ...(process.arch !== 'ppc64' && { KVM_PPC_BACKEND: 'software' }) }
  const move = (args: string[]): number => {
    const output = execFileSync(process.execPath, [program, ...args], { env, encoding: 'utf8' })
    const times = Object.values(JSON.parse(output) as Record<string, number>)
    return times.reduce((sum, ns) => sum + ns, 0)
  }
  const shortest = (...args: string[]): number =>
    Math.min(...Array.from({ length: 5 }, () => move(args)))
  return [
    { what: 'first save, text, parse and load, 4 vCPUs', ns: shortest('4'), unit: 'ms' },
    { what: 'the same after rehearse', ns: shortest('4', 'rehearsed'), unit: 'ms' },
  ]
}

function imports(): Row[] {
  const time = (specifier: string): number => {
    const code = `const t = process.hrtime.bigint(); await import(${JSON.stringify(specifier)}); console.log(String(process.hrtime.bigint() - t))`
    const run = (): number =>
      Number(
        execFileSync(process.execPath, ['--input-type=module', '-e', code], {
          cwd: import.meta.dirname,
        }),
      )
    return Math.min(...Array.from({ length: 10 }, run))
  }
  const empty = time('data:text/javascript,')
  return [
    {
      what: 'import, above that of an empty module',
      ns: time('kvm-ppc-onereg') - empty,
      unit: 'ms',
      goal: '25 ms',
    },
  ]
}

/** The rows for garbage: how much the heap grows by a call, without a collection in between. */
function garbage(): Row[] {
  const program = path.join(import.meta.dirname, 'garbage.ts')
  const { stdout } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--max-semi-space-size=1024', '--expose-gc', program],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const bytes = JSON.parse(stdout) as Record<string, number>
  return Object.entries(bytes).map(([what, each]): Row => ({
    what: `garbage of a ${what}`,
    ns: each,
    unit: 'bytes',
    ...(what === 'read of bound registers' && { goal: '0' }),
  }))
}

await program.parseAsync()
