import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { INHERIT_CHANNEL, LOAD_CHANNEL, SAVE_CHANNEL } from 'kvm-ppc-onereg'
import type { InheritMessage, LoadMessage, SaveMessage } from 'kvm-ppc-onereg'

/**
 * Counts what the library does in this process, for a page of metrics. A call that is traced publishes on
 * `tracing:NAME:end` when it ends, with a `result` if it succeeded, and on `tracing:NAME:error` if it failed.
 */
export class Metrics {
  saves = 0
  loads = 0
  plugged = 0
  /** How often each error ended a call, by its code. */
  readonly failures = new Map<string, number>()
  /** The longest pause that a guest had, in ns. */
  longestPauseNs = 0n

  readonly #listeners: readonly (readonly [name: string, (message: unknown) => void])[] = [
    [`tracing:${SAVE_CHANNEL}:end`, this.#saved.bind(this)],
    [`tracing:${LOAD_CHANNEL}:end`, this.#loaded.bind(this)],
    [`tracing:${INHERIT_CHANNEL}:end`, this.#inherited.bind(this)],
    [`tracing:${SAVE_CHANNEL}:error`, this.#failed.bind(this)],
    [`tracing:${LOAD_CHANNEL}:error`, this.#failed.bind(this)],
    [`tracing:${INHERIT_CHANNEL}:error`, this.#failed.bind(this)],
  ]

  constructor() {
    for (const [name, listener] of this.#listeners) subscribe(name, listener)
  }

  close(): void {
    for (const [name, listener] of this.#listeners) unsubscribe(name, listener)
  }

  #saved(message: unknown): void {
    const { result } = message as SaveMessage
    if (result !== undefined) this.saves++
  }

  #loaded(message: unknown): void {
    const { result } = message as LoadMessage
    if (result === undefined) return
    this.loads++
    if (result.downtimeNs > this.longestPauseNs) this.longestPauseNs = result.downtimeNs
  }

  #inherited(message: unknown): void {
    const { result } = message as InheritMessage
    if (result !== undefined) this.plugged++
  }

  #failed(message: unknown): void {
    const { error } = message as SaveMessage | LoadMessage | InheritMessage
    const { code = 'unknown' } = error as { code?: string }
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1)
  }
}
