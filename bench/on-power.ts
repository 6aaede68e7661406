import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { Host, loadTimebase, NativeKernel, saveTimebase } from 'kvm-ppc-onereg'
import { tell } from '../test/power/host/tell.ts'
import { Baseline } from './baseline.ts'
import { nsOfEmptyCall, nsOfOne } from './measure.ts'
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

const program = path.join(root, 'build/bench/baseline')
const baseline = new Baseline(program, 1)
/** With a second thread, since a monitor has more than one. */
const threaded = new Baseline(program, 2)

function runBaselines(): void {
  for (const each of [baseline, threaded]) each.run([CALLS, ...vcpuCounts])
}

runBaselines()
using host = new Host(new NativeKernel())
const vcpu = host.createVm().createVcpu(0)
const rows: Row[] = []

/** Adds a row, beside the sum of the C program's rows with the names in `against`. */
function add(
  what: string,
  ns: number,
  {
    against = [],
    vcpus = 1,
    each = 1,
    goal,
  }: {
    against?: readonly string[]
    vcpus?: number
    each?: number
    goal?: string
  } = {},
): void {
  const of = (program: Baseline): number | undefined =>
    against.length === 0
      ? undefined
      : against.reduce((sum, row) => sum + program.ns(row, vcpus), 0) / each
  rows.push({ what, ns, baseline: of(baseline), threaded: of(threaded), goal })
}

const measured: (() => void)[] = []
function row(measure: () => void): void {
  measured.push(measure)
}

// Each row has a loop of its own, since V8 optimises a loop for the functions that it has called.
row(() => {
  const get = nsOfOne(CALLS, () => {
    let value = 0n
    for (let call = 0; call < CALLS; call++) value = vcpu.get('DAR')
    return value
  })
  add('get of 64 bits', get, { against: ['get'], goal: '1.25' })
})
row(() => {
  const set = nsOfOne(CALLS, () => {
    for (let call = 0; call < CALLS; call++) vcpu.set('DAR', 5n)
  })
  add('set of 64 bits', set, { against: ['set'] })
})
row(() => {
  const bound = vcpu.bind(ten)
  const read = nsOfOne(CALLS * 10, () => {
    for (let call = 0; call < CALLS; call++) bound.read()
  })
  add('read of 10 bound registers, each', read, { against: ['read of 10, each'], goal: '1.03' })
})
row(() => {
  const read = nsOfOne(CALLS * 10, () => {
    for (let call = 0; call < CALLS; call++) vcpu.read(ten)
  })
  add('read of 10 into an object, each', read, { against: ['read of 10, each'], goal: '1.5' })
})
row(() => {
  const names = Object.keys(vcpu.snapshot()).length
  const snapshot = nsOfOne(names, () => void vcpu.snapshot(), 10, 100)
  add(`snapshot of ${names} registers, each`, snapshot, { against: ['get'], goal: '2' })
})
row(() => {
  const saved = vcpu.snapshot()
  const names = Object.keys(saved).length
  const restore = nsOfOne(names, () => void vcpu.restore(saved), 10, 100)
  add(`restore of ${names} registers, each`, restore, { against: ['set'], goal: '2' })
})
row(() => {
  const empty = nsOfEmptyCall(CALLS)
  const timebase = nsOfOne(CALLS, () => {
    for (let call = 0; call < CALLS; call++) host.timebase()
  })
  add('empty call of raw Node-API', empty)
  rows.push({ what: 'timebase(), against it', ns: timebase, baseline: empty, goal: '1.50' })
})
row(() => {
  const sample = nsOfOne(CALLS, () => {
    for (let call = 0; call < CALLS; call++) host.sample()
  })
  add('sample()', sample, { against: ['sample'] })
  const uncertainties = Array.from({ length: 1001 }, () => Number(host.sample().uncertaintyNs))
  add('its uncertainty, median', uncertainties.sort((a, b) => a - b)[500] ?? NaN)
})
for (const count of vcpuCounts) {
  row(() => {
    using vm = host.createVm()
    const vcpus = Array.from({ length: count }, (_, id) => vm.createVcpu(id))
    // One round of a large guest is as exact as many rounds of a small one.
    const rounds = Math.max(10, Math.ceil(60 / count))
    // V8 compiles a loop for good after some hundred thousand turns.
    const warmUp = Math.ceil(100_000 / count)
    const state = saveTimebase(vcpus)
    const save = nsOfOne(1, () => void saveTimebase(vcpus), rounds, warmUp)
    add(`save, ${count} vCPUs`, save, { against: ['save'], vcpus: count })
    const load = nsOfOne(1, () => void loadTimebase(vcpus, state), rounds, warmUp)
    add(`load, ${count} vCPUs`, load, { against: ['load'], vcpus: count })
    add(`both, ${count} vCPUs, for each vCPU`, (save + load) / count, {
      against: ['save', 'load'],
      vcpus: count,
      each: count,
      ...(count === 1024 && { goal: '1.10' }),
    })
  })
}

// A process each. A large guest is moved only after a rehearsal: compiling is a small part of its first move.
for (const count of vcpuCounts) {
  for (const rehearsed of count <= 64 ? [false, true] : [true]) {
    row(() => {
      const args = [path.join(root, 'bench/first.mjs'), String(count)]
      if (rehearsed) args.push('rehearsed')
      const output = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
      const times = Object.entries(JSON.parse(output) as Record<string, number>)
      const how = rehearsed ? 'rehearsed' : 'first'
      for (const [step, ns] of times) add(`${how} ${step}, ${count} vCPUs`, ns)
      const sumOf = (steps: typeof times): number => steps.reduce((sum, [, ns]) => sum + ns, 0)
      const calls = times.filter(([step]) => step === 'save' || step === 'load')
      if (rehearsed) {
        add(`rehearsed save and load, ${count} vCPUs`, sumOf(calls), {
          against: ['first save', 'first load'],
          vcpus: count,
          ...(count === 1024 && { goal: '1.3' }),
        })
      }
      const all = sumOf(times)
      add(`${how} move in all, ${count} vCPUs`, all, {
        against: ['first save', 'first load'],
        vcpus: count,
        ...(count === 4 && { goal: rehearsed ? '5' : '50' }),
      })
    })
  }
}

// Once more, since a host gets faster as it runs, and the rows below run late.
runBaselines()
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
