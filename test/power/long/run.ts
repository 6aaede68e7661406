import { readdirSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Host } from '../../../lib/kvm/host.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { FailingKernel } from '../../../lib/testing/failing-kernel.ts'
import { tell } from '../host/tell.ts'
import { Life } from './life.ts'
import { Random } from './random.ts'
import { print, wrong } from './report.ts'
import type { Happened, State } from './report.ts'

// Runs on a POWER host with KVM, with --expose-gc.

const [minutes = '1', seed = '1'] = process.argv.slice(2)
const SAMPLES = 30

const random = new Random(Number(seed))
const kernel = new FailingKernel(new NativeKernel())
using host = new Host(kernel)
const life = new Life(host, kernel, random)

const began = performance.now()
const end = began + Number(minutes) * 60_000
const names = Object.keys(life.happenings) as (keyof Life['happenings'])[]
const outcomes = new Map<string, Happened>(names.map((name) => [name, { times: 0, worstMs: 0 }]))
const states: State[] = []

async function takeState(): Promise<State> {
  // What a collection finds is given back in the turns after it: the memory of a guest that was closed.
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.()
    await nextTurn()
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return {
    seconds: (performance.now() - began) / 1000,
    rounds: [...outcomes.values()].reduce((sum, { times }) => sum + times, 0),
    ...life.seen,
    heap: heapUsed,
    external,
    rss,
    // Each of the guest's own vCPUs has one of both.
    descriptors: readdirSync('/proc/self/fd').length - life.vcpus,
    threads: readdirSync('/proc/self/task').length - life.vcpus,
  }
}

async function happen(): Promise<void> {
  const name = random.of(names)
  const before = performance.now()
  await life.happenings[name]()
  const ms = performance.now() - before
  const outcome = outcomes.get(name)
  if (outcome)
    outcomes.set(name, { times: outcome.times + 1, worstMs: Math.max(outcome.worstMs, ms) })
  await life.run()
}

await life.run()
// Before anything is compared: the compiler's work and the first garbage.
for (let round = 0; round < 50; round++) await happen()
states.push(await takeState())
const interval = (end - performance.now()) / SAMPLES
for (let sample = 1; sample <= SAMPLES; sample++) {
  tell('at', `the long run > part ${sample} of ${SAMPLES}`)
  const until = end - (SAMPLES - sample) * interval
  do await happen()
  while (performance.now() < until)
  states.push(await takeState())
}
life.close()

print(outcomes, states)
const complaints = wrong(outcomes, states)
for (const complaint of complaints) console.log(`WRONG: ${complaint}`)
if (complaints.length === 0) {
  const { rounds = 0, reads = 0n } = states.at(-1) ?? {}
  console.log(`After ${rounds} rounds and ${reads} readings all is well. The seed was ${seed}.`)
} else {
  console.log(`The same again: --seed ${seed}`)
  process.exitCode = 1
}
