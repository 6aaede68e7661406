import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openHost } from '../../../lib/kvm/host.ts'
import type { Host } from '../../../lib/kvm/host.ts'
import { loadAddon } from '../../../lib/kernel/addon.ts'
import { cases, emulated, slowdown } from '../../support/emulated.ts'
import { addonLacks, describeUnless, x86KvmLacks } from '../../support/lacking.ts'

const ENTRIES = 64
const GUARD = 4096
const SIZE = ENTRIES * 32 + 8
const ROUNDS = cases(20_000, 1 / 100)

/** TB_OFFSET, VR0, x86's timestamp counter, and one of 2048 bits: more than an entry has room for. */
const ids = [
  0x1030_0000_0000_009cn,
  0x1040_0000_0000_0040n,
  0x2030_0002_0000_0010n,
  0x1080_0000_0000_009cn,
]

/** Writes descriptors, ids and anything else over the batch, and counts how often. */
const scribbler = `
  const { parentPort, workerData: { memory, at, size, words, rounds } } = require('node:worker_threads')
  const batch = new BigUint64Array(memory, at, size / 8)
  const pick = (end) => Math.floor(Math.random() * end)
  parentPort.postMessage('running')
  for (;;) {
    for (let left = 100; left > 0; left--) batch[pick(batch.length)] = words[pick(words.length)]
    Atomics.add(rounds, 0, 1)
  }`

describeUnless(addonLacks, 'a batch over which another thread scribbles', () => {
  const addon = loadAddon()
  const memory = new SharedArrayBuffer(GUARD + SIZE + GUARD)
  const all = new Uint8Array(memory)
  const batch = all.subarray(GUARD, GUARD + SIZE)
  const rounds = new Int32Array(new SharedArrayBuffer(4))
  let devNull: number
  let host: Host | undefined
  let worker: Worker

  beforeEach(async () => {
    all.fill(0xa5)
    devNull = addon.open('/dev/null')
    if (emulated || x86KvmLacks === undefined) host = openHost({ backend: 'kvm' })
    const vcpu = host?.createVm().createVcpu(0)
    const fds = [devNull, vcpu?.fd ?? devNull].map(BigInt)
    // Two descriptors, two results, or two lengths.
    const pairs = [...fds, 1n, 0xffff_ffffn].map((word) => (word << 32n) | word)
    const words = BigUint64Array.from([...pairs, ...ids])
    const workerData = { memory, at: GUARD, size: SIZE, words, rounds }
    worker = new Worker(scribbler, { eval: true, workerData })
    await once(worker, 'message')
  })

  afterEach(async () => {
    await worker.terminate()
    host?.close()
    host = undefined
    addon.close(devNull)
  })

  function expectGuardsUnharmed(): void {
    const guards = [all.subarray(0, GUARD), all.subarray(GUARD + SIZE)]
    expect(guards.flatMap((guard) => [...guard.filter((byte) => byte !== 0xa5)])).toEqual([])
  }

  it('is used, and nothing beside it', { timeout: 10_000 * slowdown }, () => {
    const handle = addon.bindBatch(batch)
    const words = new BigUint64Array(new SharedArrayBuffer(32))
    words[3] = BigInt(handle.index)
    const { getOneRegs, setOneRegs } = addon.bindCalls(words)
    const before = Atomics.load(rounds, 0)
    // On a busy machine it may be a while before the other thread has its turn.
    for (let round = 0; round < ROUNDS || Atomics.load(rounds, 0) - before < 100; round++) {
      getOneRegs()
      setOneRegs()
    }
    expectGuardsUnharmed()
    // Until here it must not be let go of.
    expect(handle.index).toBe(Number(words[3]))
  })

  it('is used off the thread, and nothing beside it', { timeout: 10_000 * slowdown }, async () => {
    const before = Atomics.load(rounds, 0)
    for (let round = 0; round < ROUNDS / 100 || Atomics.load(rounds, 0) === before; round++) {
      const calls = [addon.getOneRegsAsync(batch), addon.setOneRegsAsync(batch)]
      expect(await Promise.all(calls)).toEqual([0, 0])
    }
    expectGuardsUnharmed()
  })
})
