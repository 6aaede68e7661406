import { strict as assert } from 'node:assert'
import { setTimeout as wait } from 'node:timers/promises'
import { KvmError, OneRegError } from '../../../lib/errors.ts'
import type { Host } from '../../../lib/kvm/host.ts'
import { inheritTimebase } from '../../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import type { AlignOptions } from '../../../lib/timebase/load.ts'
import type { TimebaseState } from '../../../lib/timebase/state.ts'
import type { FailingKernel } from '../../../lib/testing/failing-kernel.ts'
import { TestGuest, timeOfDay } from '../guest/index.ts'
import type { Random } from './random.ts'

const FEWEST_VCPUS = 4
const MOST_VCPUS = 8
const SECOND_NS = 1_000_000_000n

/** The errors of faults. EINTR is not among them, since the library repeats such a call. */
const errnos = ['EAGAIN', 'EIO', 'EBADF', 'ENOMEM', 'EFAULT', 'EINVAL'] as const
const timeNames = ['TB_OFFSET', 'DEC_EXPIRY'] as const

/** The counts of the guests so far. */
export interface Seen {
  reads: bigint
  backwardSteps: bigint
}

/**
 * The life of a guest that watches its timebase. It is saved, moved and so on, and after each event its vCPUs
 * must have the same offset and must not have seen the timebase go back.
 */
export class Life {
  readonly #host: Host
  readonly #kernel: FailingKernel
  readonly #random: Random
  readonly #before: Seen = { reads: 0n, backwardSteps: 0n }
  #guest: TestGuest

  /** @param host one of `kernel` */
  constructor(host: Host, kernel: FailingKernel, random: Random) {
    this.#host = host
    this.#kernel = kernel
    this.#random = random
    this.#guest = new TestGuest(host, 'watch', FEWEST_VCPUS)
  }

  /** The events by name. The guest is stopped at the beginning and at the end of each. */
  readonly happenings = {
    'save and load': () => this.#load(false),
    'load that fails': () => this.#load(true),
    'wall clock that is set': () => {
      this.#setClock()
    },
    'snapshot and restore': () => {
      this.#restore()
    },
    'asynchronous calls': () => this.#callAsync(),
    'vCPU that is plugged in': () => {
      this.#plugIn()
    },
    'move to another VM': () => this.#move(),
  } satisfies Record<string, () => void | Promise<void>>

  get vcpus(): number {
    return this.#guest.vcpus.length
  }

  /** Lets the guest run until each vCPU has read its timebase, and stops it. */
  async run(): Promise<void> {
    this.#guest.noteNextStep(0n)
    this.#guest.start()
    await this.#allHaveRead()
    this.#guest.stop()
    const offsets = new Set(this.#guest.vcpus.map((vcpu) => vcpu.get('TB_OFFSET')))
    assert.equal(offsets.size, 1, 'the vCPUs have different offsets')
  }

  get seen(): Seen {
    const seen = this.#guest.vcpus.map((_, vcpu) => this.#guest.watched(vcpu))
    return {
      reads: seen.reduce((sum, { reads }) => sum + reads, this.#before.reads),
      backwardSteps: seen.reduce(
        (sum, { backwardSteps }) => sum + backwardSteps,
        this.#before.backwardSteps,
      ),
    }
  }

  close(): void {
    this.#guest.close()
  }

  async #allHaveRead(): Promise<void> {
    const guest = this.#guest
    while (guest.vcpus.some((_, vcpu) => guest.watched(vcpu).step === undefined)) await wait(1)
  }

  async #load(fails: boolean): Promise<void> {
    const { vcpus } = this.#guest
    const state = saveTimebase(vcpus)
    if (this.#random.once(3)) await wait(this.#random.below(50))
    if (fails)
      await this.#failToLoad(() => loadTimebase(vcpus, state, this.#options() as AlignOptions))
    await loadTimebase(vcpus, state, this.#options() as AlignOptions)
  }

  #options(): object {
    const downtime = this.#random.of(['advance', 'freeze'] as const)
    if (downtime === 'freeze' && this.#random.once(3)) return { downtime, align: true }
    const rounding = this.#random.of(['nearest', 'up'] as const)
    return { downtime, rounding, ...(this.#random.once(2) && { maxDowntimeNs: 60n * SECOND_NS }) }
  }

  /** Half a load must never be left behind: one that fails leaves all as it was. */
  async #failToLoad(load: () => unknown): Promise<void> {
    const before = this.#times()
    this.#kernel.fail({ errno: this.#random.of(errnos), skip: this.#random.below(60) })
    try {
      await load()
    } catch (error) {
      assert.ok(error instanceof OneRegError)
      // An aligned load whose clock fails while it waits says that all is loaded.
      if (error.code !== 'ERR_TIMEBASE_NOT_REACHED') assert.deepEqual(this.#times(), before)
    } finally {
      this.#kernel.clearFaults()
    }
  }

  /** One of the first so many calls to the kernel fails, if there are so many. */
  #failOnce(calls: number, what: () => unknown): void {
    this.#kernel.fail({ errno: this.#random.of(errnos), skip: this.#random.below(calls) })
    try {
      what()
    } catch (error) {
      assert.ok(error instanceof OneRegError || error instanceof KvmError)
    } finally {
      this.#kernel.clearFaults()
    }
  }

  /** As the kernel itself says. */
  #times(): { TB_OFFSET: bigint; DEC_EXPIRY: bigint }[] {
    return this.#guest.vcpus.map((vcpu) => vcpu.read(timeNames))
  }

  /** The two hosts of a move may differ in what time it is. */
  #setClock(): void {
    const { vcpus } = this.#guest
    const state = saveTimebase(vcpus)
    const seconds = BigInt(this.#random.below(11) - 5)
    timeOfDay.step(seconds * SECOND_NS)
    try {
      loadTimebase(vcpus, state, { rounding: this.#random.of(['nearest', 'up'] as const) })
    } finally {
      timeOfDay.step(-seconds * SECOND_NS)
    }
  }

  #restore(): void {
    const held = this.#guest.vcpus.map((vcpu) => ({ vcpu, snapshot: vcpu.snapshot() }))
    if (this.#random.once(3)) {
      const { vcpu, snapshot } = this.#random.of(held)
      this.#failOnce(100, () => vcpu.restore(snapshot))
    }
    for (const { vcpu, snapshot } of held) vcpu.restore(snapshot)
  }

  /** They wait for the vCPUs to stop; some are given up before. */
  async #callAsync(): Promise<void> {
    const guest = this.#guest
    guest.noteNextStep(0n)
    guest.start()
    await this.#allHaveRead()
    const controller = new AbortController()
    const { signal } = controller
    const calls = guest.vcpus.flatMap((vcpu) => [
      vcpu.readAsync(timeNames),
      vcpu.getAsync('VTB', this.#random.once(2) ? { signal } : {}),
      vcpu.setAsync('DAR', BigInt(this.#random.below(1000))),
    ])
    await wait(this.#random.below(20))
    controller.abort()
    guest.stop()
    for (const outcome of await Promise.allSettled(calls)) {
      if (outcome.status === 'fulfilled') continue
      assert.equal((outcome.reason as Error).name, 'AbortError')
    }
  }

  /** With as many as there may be, a new life begins instead. */
  #plugIn(): void {
    if (this.vcpus === MOST_VCPUS) {
      Object.assign(this.#before, this.seen)
      this.#guest.close()
      this.#guest = new TestGuest(this.#host, 'watch', FEWEST_VCPUS)
      return
    }
    const [first] = this.#guest.vcpus
    const added = this.#guest.addVcpu()
    assert.ok(first)
    if (this.#random.once(3)) this.#failOnce(12, () => inheritTimebase(first, added))
    inheritTimebase(first, added)
  }

  async #move(): Promise<void> {
    const source = this.#guest
    const state: TimebaseState = saveTimebase(source.vcpus)
    const snapshots = new Map(source.vcpus.map((vcpu) => [vcpu.id, vcpu.snapshot()]))
    const image = source.takeOut()
    source.close()
    this.#guest = new TestGuest(this.#host, 'watch', image.regs.length)
    this.#guest.putIn(image)
    for (const vcpu of this.#guest.vcpus) vcpu.restore(snapshots.get(vcpu.id) ?? {})
    await loadTimebase(this.#guest.vcpus, state, this.#options() as AlignOptions)
  }
}
