import { readdirSync } from 'node:fs'
import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { loadAddon } from '../../../lib/kernel/addon.ts'
import type { Addon } from '../../../lib/kernel/addon.ts'
import { openHost } from '../../../lib/kvm/host.ts'
import { cases, emulated, slowdown } from '../../support/emulated.ts'
import { addonLacks, describeUnless, x86KvmLacks } from '../../support/lacking.ts'
import { Dice } from '../../vmstate/mutations.ts'
import { abuse } from './call.ts'
import type { Outcome } from './call.ts'
import { harmless, hostile, names } from './pools.ts'
import { randomArray, randomBigint, randomNumber } from './random.ts'

const CALLS = cases(100_000, 1 / 50)

/** The same in every run, so that CI is; FUZZ_SEED=… is another one. */
const seed = Number(process.env['FUZZ_SEED'] ?? 1)

describeUnless(addonLacks, 'the addon, called at random', () => {
  it(
    `refuses what is wrong and survives what is not: ${CALLS} calls, FUZZ_SEED=${seed}`,
    { timeout: 60_000 * slowdown },
    async () => {
      const addon = loadAddon()
      using host = emulated || x86KvmLacks === undefined ? openHost({ backend: 'kvm' }) : undefined
      const vm = host?.createVm()
      const vcpu = vm?.createVcpu(0)
      const null_ = addon.open('/dev/null')
      const before = readdirSync('/proc/self/fd').length
      const calls = new RandomCalls(addon, new Dice(seed), [null_, vcpu?.fd ?? null_])
      for (let index = 0; index < CALLS; index++) {
        try {
          await calls.make()
        } catch (error) {
          throw new Error(`FUZZ_SEED=${seed}, call ${index}: ${calls.last}`, { cause: error })
        }
      }
      await calls.settle()
      expect(readdirSync('/proc/self/fd')).toHaveLength(before)
      // Both happen often with each, or what is tried is too tame or too wild to find anything.
      for (const name of names) {
        for (const outcome of ['refused', 'taken'] as const) {
          expect(calls.count(name, outcome), `${name} ${outcome}`).toBeGreaterThan(CALLS / 500)
        }
      }
      addon.close(null_)
      // Held until here: what is garbage is closed.
      vcpu?.close()
      vm?.close()
    },
  )
})

/** As many calls off the thread as may be in flight. */
const IN_FLIGHT = 32

class RandomCalls {
  readonly #addon: Addon
  readonly #dice: Dice
  readonly #fds: readonly number[]
  readonly #counts = new Map<string, number>()
  readonly #hostile = Object.values(hostile)
  #inFlight: Promise<void>[] = []
  #last: readonly [name: string, given: readonly unknown[]] = ['', []]

  /** @param fds that exist, and to which nothing can be done that matters */
  constructor(addon: Addon, dice: Dice, fds: readonly number[]) {
    this.#addon = addon
    this.#dice = dice
    this.#fds = fds
  }

  /** The last call, in words. */
  get last(): string {
    const [name, given] = this.#last
    const words = given.map((value) => inspect(value, { customInspect: false, maxArrayLength: 4 }))
    return `${name}(${words.join(', ')})`
  }

  count(name: string, outcome: Outcome): number {
    return this.#counts.get(`${name} ${outcome}`) ?? 0
  }

  async make(): Promise<void> {
    const name = this.#dice.pick(names)
    const given = this.#arguments(name)
    this.#last = [name, given]
    const outcome = abuse(this.#addon, name, given)
    this.#inFlight.push(this.#note(name, outcome))
    if (this.#inFlight.length === IN_FLIGHT) await this.settle()
  }

  async settle(): Promise<void> {
    await Promise.all(this.#inFlight.splice(0))
  }

  async #note(name: string, pending: Outcome | Promise<Outcome>): Promise<void> {
    const outcome = await pending
    this.#counts.set(`${name} ${outcome}`, this.count(name, outcome) + 1)
  }

  /** Right ones, of which one or two, or their number, may be anything. */
  #arguments(name: keyof Addon): unknown[] {
    const dice = this.#dice
    const given = harmless(name)
    // No descriptor that exists is ever closed.
    if (name !== 'close' && typeof given[0] === 'number') given[0] = dice.pick(this.#fds)
    for (let changes = dice.below(3); changes > 0; changes--) {
      const at = dice.below(Math.max(1, given.length + (dice.below(8) === 0 ? 1 : 0)))
      given[at] = this.#value(given[at])
    }
    if (given.length > 0 && dice.below(16) === 0) given.length = dice.below(given.length)
    return given
  }

  #value(instead: unknown): unknown {
    const dice = this.#dice
    if (dice.below(4) === 0) return dice.pick(this.#hostile)()
    if (typeof instead === 'number') return randomNumber(dice)
    if (typeof instead === 'bigint') return randomBigint(dice)
    if (typeof instead === 'string') return `/nonexistent/${String.fromCharCode(dice.below(65536))}`
    return randomArray(dice, this.#fds)
  }
}
