import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { Host, loadTimebase, NativeKernel, OneRegBatch, saveTimebase } from 'kvm-ppc-onereg'
import { tell } from '../test/power/host/tell.ts'
import { Baseline } from './baseline.ts'
import { nsOfOne, times } from './measure.ts'
import { table, type Row } from './table.ts'

// Runs on a POWER host with KVM, beside the C program. Under -icount an instruction takes 1 ns.

const root = path.resolve(import.meta.dirname, '..')
const CALLS = 1000
const ten = [
  ...(['DAR', 'DSCR', 'AMR', 'UAMOR', 'MMCR1'] as const),
  ...(['SIAR', 'SDAR', 'MMCRA', 'PURR', 'SPURR'] as const),
] as const

const [counts = '1,16,256,1024'] = process.argv.slice(2)
const vcpuCounts = counts.split(',').map(Number)

const baseline = new Baseline()
const program = path.join(root, 'build/bench/baseline')
const runBaseline = (): void => {
  baseline.run(program, [String(CALLS), ...vcpuCounts.map(String)])
}

runBaseline()
using host = new Host(new NativeKernel())
const vcpu = host.createVm().createVcpu(0)
const rows: Row[] = []

function add(
  what: string,
  ns: number,
  against?: { row: string; vcpus?: number },
  goal?: string,
): void {
  const beside = against && baseline.ns(against.row, against.vcpus)
  rows.push({ what, ns, baseline: beside, goal })
}

/** A call into C++ in raw Node-API that does nothing: the floor of every row. */
function emptyCall(): number {
  const batch = new OneRegBatch(0)
  host.kernel.getOneRegs(batch)
  const empty = batch.bound?.get ?? (() => undefined)
  return nsOfOne(CALLS, times(CALLS, empty))
}

const measured: (() => void)[] = []
function row(measure: () => void): void {
  measured.push(measure)
}

row(() => {
  add(
    'get of 64 bits',
    nsOfOne(
      CALLS,
      times(CALLS, () => void vcpu.get('DAR')),
    ),
    { row: 'get' },
    '1.25',
  )
})
row(() => {
  const set = times(CALLS, () => {
    vcpu.set('DAR', 5n)
  })
  add('set of 64 bits', nsOfOne(CALLS, set), { row: 'set' })
})
row(() => {
  const bound = vcpu.bind(ten)
  const read = times(CALLS / 10, () => {
    bound.read()
  })
  add('read of 10 bound registers, each', nsOfOne(CALLS, read), { row: 'read of 10, each' }, '1.03')
})
row(() => {
  const read = times(CALLS / 10, () => {
    vcpu.read(ten)
  })
  add('read of 10 into an object, each', nsOfOne(CALLS, read), { row: 'read of 10, each' })
})
row(() => {
  const names = Object.keys(vcpu.snapshot()).length
  const snapshot = times(5, () => void vcpu.snapshot())
  add(`snapshot of ${names} registers, each`, nsOfOne(5 * names, snapshot, 10, 20), { row: 'get' })
})
row(() => {
  const empty = emptyCall()
  add('empty call of raw Node-API', empty)
  const timebase = nsOfOne(
    CALLS,
    times(CALLS, () => void host.timebase()),
  )
  rows.push({
    what: 'timebase(), against the empty call',
    ns: timebase,
    baseline: empty,
    goal: '1.50',
  })
})
row(() => {
  add(
    'sample()',
    nsOfOne(
      CALLS,
      times(CALLS, () => void host.sample()),
    ),
    { row: 'sample' },
  )
  const uncertainties = Array.from({ length: 1001 }, () => Number(host.sample().uncertaintyNs))
  const median = uncertainties.sort((a, b) => a - b)[500] ?? NaN
  add('its uncertainty, median', median)
})
for (const count of vcpuCounts) {
  row(() => {
    using vm = host.createVm()
    const vcpus = Array.from({ length: count }, (_, id) => vm.createVcpu(id))
    // Of a large guest one round is as good as many of a small one.
    const rounds = Math.max(4, Math.ceil(60 / count))
    const warmUp = Math.ceil(3000 / count)
    const state = saveTimebase(vcpus)
    const save = nsOfOne(1, () => void saveTimebase(vcpus), rounds, warmUp)
    add(`save, ${count} vCPUs`, save, { row: 'save', vcpus: count })
    const load = nsOfOne(1, () => void loadTimebase(vcpus, state), rounds, warmUp)
    add(`load, ${count} vCPUs`, load, { row: 'load', vcpus: count })
    const both = baseline.ns('save', count) + baseline.ns('load', count)
    rows.push({
      what: `both, ${count} vCPUs, for each vCPU`,
      ns: (save + load) / count,
      baseline: both / count,
      goal: count === 1024 ? '1.10' : undefined,
    })
  })
}

// Once more: a host that has run for longer is faster.
runBaseline()
for (const measure of measured) measure()

function importTime(specifier: string): number {
  const code = `const t = process.hrtime.bigint(); await import(${JSON.stringify(specifier)}); console.log(String(process.hrtime.bigint() - t))`
  const run = (): number =>
    Number(execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root }))
  return Math.min(run(), run(), run())
}

rows.push({
  what: 'import of an empty module',
  ns: importTime('data:text/javascript,'),
  unit: 'ms',
})
rows.push({ what: 'import of this package', ns: importTime('kvm-ppc-onereg'), unit: 'ms' })
console.log(table(rows))
tell('result', JSON.stringify(rows))
