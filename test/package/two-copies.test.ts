import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import { runProgram } from './newcomer.ts'

const ofAnother =
  ' of this copy of kvm-ppc-onereg, but another copy of the package, which this process has loaded too, ' +
  'made it. `npm ls kvm-ppc-onereg` shows the copies'

/** The package twice, as an application has it two of whose dependencies want different versions. */
const beginning = `
  import * as one from 'one'
  import * as two from 'two'
  import { hostPair } from 'one/testing'
  import { hostPair as otherPair } from 'two/testing'
  const { source, destination } = hostPair()
  const other = otherPair()
  const vcpu = source.createVm().createVcpu(0)
  const otherVcpu = other.destination.createVm().createVcpu(0)
  const said = (call) => {
    try {
      return call()
    } catch (error) {
      return [error.code, error.message]
    }
  }
  const print = (value) => console.log(JSON.stringify(value))
`

describe('two copies of the package in one process', () => {
  let project: string

  beforeAll(async () => {
    project = await mkdtemp(path.join(tmpdir(), 'two-copies-'))
    const manifest = {
      dependencies: { one: `file:${inject('tarball')}`, two: `file:${inject('tarball')}` },
    }
    await writeFile(path.join(project, 'package.json'), JSON.stringify(manifest))
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: project })
  }, 120_000)

  afterAll(() => rm(project, { recursive: true }))

  async function printed(text: string): Promise<unknown> {
    const env = { KVM_PPC_BACKEND: 'software' }
    return JSON.parse(await runProgram(project, 'program.mjs', beginning + text, env)) as unknown
  }

  it('take the states of each other, as objects and as text', async () => {
    const text = `
      const state = one.saveTimebase([vcpu])
      const loaded = two.loadTimebase([otherVcpu], state)
      const parsed = two.parseTimebase(one.serializeTimebase(state))
      const all = two.parseOneRegState(one.serializeOneRegState(one.saveOneRegState([vcpu])))
      otherVcpu.restore(vcpu.snapshot())
      print([
        loaded.guestTimebase >= state.guestTimebase,
        parsed.guestTimebase === state.guestTimebase,
        all.vcpus.length,
      ])
    `
    expect(await printed(text)).toEqual([true, true, 1])
  })

  it('refuse the vCPUs of each other, and say why', async () => {
    const text = `
      const state = one.saveTimebase([vcpu])
      print([
        () => two.saveTimebase([vcpu]),
        () => two.loadTimebase([vcpu], state),
        () => two.inheritTimebase(vcpu, otherVcpu),
        () => two.saveOneRegState([vcpu]),
        () => one.saveTimebase([vcpu, otherVcpu]),
      ].map(said))
    `
    const refused = ['ERR_INVALID_ARG_TYPE', `a vCPU must be a Vcpu${ofAnother}`]
    expect(await printed(text)).toEqual(Array(5).fill(refused))
  })

  it('refuse the kernels and batches of each other, and say why', async () => {
    const text = `
      const call = (kernel, library) => kernel.getOneRegs(new library.OneRegBatch(1))
      print([
        () => call(new one.SoftwareKernel(), two),
        () => call(new one.NativeKernel(), two),
        () => new two.Host(new one.SoftwareKernel()).createVm().createVcpu(0).get('TB_OFFSET'),
      ].map(said))
    `
    const refused = ['ERR_INVALID_ARG_TYPE', `batch must be a OneRegBatch${ofAnother}`]
    expect(await printed(text)).toEqual(Array(3).fill(refused))
  })

  it('call the kernel through their own addons, also for a descriptor of the other', async () => {
    const text = `
      import { openSync } from 'node:fs'
      const fd = openSync('/dev/null')
      print([one, two].map((library) => {
        const batch = new library.OneRegBatch(1)
        batch.fds[0] = fd
        new library.NativeKernel().getOneRegs(batch)
        return batch.results[0]
      }))
    `
    const ENOTTY = 25
    expect(await printed(text)).toEqual([-ENOTTY, -ENOTTY])
  })

  it('have errors that are told apart by their codes, not by their classes', async () => {
    const text = `
      let caught
      try { one.parseTimebase('{') } catch (e) { caught = e }
      print([caught.code, caught instanceof one.OneRegError, caught instanceof two.OneRegError])
    `
    expect(await printed(text)).toEqual(['ERR_STATE_FORMAT', true, false])
  })

  it('are one where a program imports one and requires it', async () => {
    const text = `
      import { createRequire } from 'node:module'
      const require = createRequire(import.meta.url)
      print(require('one').Vcpu === one.Vcpu && require('one/testing').hostPair === hostPair)
    `
    expect(await printed(text)).toBe(true)
  })

  it('work on threads of their own', async () => {
    const thread = `
      import { parentPort, workerData } from 'node:worker_threads'
      const { NativeKernel } = await import(workerData)
      const { hostPair } = await import(workerData + '/testing')
      const isOpen = new NativeKernel().open('/dev/null') >= 0
      parentPort.postMessage([isOpen, hostPair().source.createVm().createVcpu(3).id])
    `
    await writeFile(path.join(project, 'thread.mjs'), thread)
    const text = `
      import { Worker } from 'node:worker_threads'
      const threads = ['one', 'two', 'one'].map((workerData) => new Promise((resolve, reject) => {
        const worker = new Worker(new URL('thread.mjs', import.meta.url), { workerData })
        worker.once('message', resolve).once('error', reject)
      }))
      print(await Promise.all(threads))
    `
    expect(await printed(text)).toEqual(Array(3).fill([true, 3]))
  })
})
