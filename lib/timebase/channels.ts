import { tracingChannel } from 'node:diagnostics_channel'
import type { TracingChannel } from 'node:diagnostics_channel'
import { Vcpu } from '../kvm/vcpu.ts'
import type { InheritOutcome, LoadOutcome } from './outcomes.ts'
import type { TimebaseState } from './state.ts'

/**
 * The name of the tracing channel of {@link saveTimebase} and {@link saveTimebaseAsync}, whose message is a
 * {@link SaveMessage}.
 *
 *     tracingChannel(SAVE_CHANNEL).subscribe({ end: ({ vcpus, result }) => { … }, … })
 *
 * @group Observing
 */
export const SAVE_CHANNEL = 'kvm-ppc-onereg:save'

/**
 * The name of the tracing channel of {@link loadTimebase}, whose message is a {@link LoadMessage}.
 *
 * @group Observing
 */
export const LOAD_CHANNEL = 'kvm-ppc-onereg:load'

/**
 * The name of the tracing channel of {@link inheritTimebase} and {@link inheritTimebaseAsync}, whose message
 * is an {@link InheritMessage}.
 *
 * @group Observing
 */
export const INHERIT_CHANNEL = 'kvm-ppc-onereg:inherit'

/**
 * The message of a call: one object, which is published when the call begins, when it ends, with `result`,
 * and when it fails, with `error`.
 */
interface Traced<R> {
  readonly result?: R
  /** The error that was thrown, or that rejected the promise. */
  readonly error?: unknown
}

/**
 * The message on the channels of {@link SAVE_CHANNEL}.
 *
 * @group Observing
 */
export interface SaveMessage extends Traced<TimebaseState> {
  /** The ids of the vCPUs. */
  readonly vcpus: readonly number[]
}

/**
 * The message on the channels of {@link LOAD_CHANNEL}. `result` has the downtime, the advance and the
 * rounding.
 *
 * @group Observing
 */
export interface LoadMessage extends Traced<LoadOutcome> {
  /** The ids of the vCPUs. */
  readonly vcpus: readonly number[]
  /** The saved state that the caller passed. */
  readonly state: TimebaseState
}

/**
 * The message on the channels of {@link INHERIT_CHANNEL}.
 *
 * @group Observing
 */
export interface InheritMessage extends Traced<InheritOutcome> {
  /** The id of the vCPU that has the timebase. */
  readonly from: number
  /** The id of the vCPU that joins. */
  readonly to: number
}

export const saves: TracingChannel<SaveMessage, SaveMessage> = tracingChannel(SAVE_CHANNEL)
export const loads: TracingChannel<LoadMessage, LoadMessage> = tracingChannel(LOAD_CHANNEL)
export const inherits: TracingChannel<InheritMessage, InheritMessage> =
  tracingChannel(INHERIT_CHANNEL)

let isMuted = false

/** Makes calls that are not published. Only what they do before they wait for something is meant. */
export function unpublished<T>(calls: () => T): T {
  isMuted = true
  try {
    return calls()
  } finally {
    isMuted = false
  }
}

/** Whether calls are published now to those who have subscribed. */
export function arePublished(): boolean {
  return !isMuted
}

/**
 * Makes a call and publishes it, if a subscriber listens.
 *
 * @param message makes the message of the call
 */
export function published<M extends object, T>(
  calls: TracingChannel<M, M>,
  message: () => M,
  call: () => T,
): T {
  return isHeard(calls) ? calls.traceSync(call, message()) : call()
}

/** {@link published} for a call that returns a promise. */
export function publishedAsync<M extends object, T>(
  calls: TracingChannel<M, M>,
  message: () => M,
  call: () => Promise<T>,
): Promise<T> {
  return isHeard(calls) ? calls.tracePromise(call, message()) : call()
}

/** Whether to publish: `hasSubscribers` of the five channels together, since not every runtime that has them has that of all. */
function isHeard({ start, end, asyncStart, asyncEnd, error }: TracingChannel): boolean {
  // isMuted comes last, so that a rehearsal runs all of this.
  return (
    (start.hasSubscribers ||
      end.hasSubscribers ||
      asyncStart.hasSubscribers ||
      asyncEnd.hasSubscribers ||
      error.hasSubscribers) &&
    !isMuted
  )
}

/** The ids of what was handed in; it is not checked yet, and what is not a vCPU has -1. */
export function idsOf(vcpus: unknown): number[] {
  return Array.isArray(vcpus) ? vcpus.map(idOf) : []
}

export function idOf(vcpu: unknown): number {
  return Vcpu.isVcpu(vcpu) ? vcpu.id : -1
}
