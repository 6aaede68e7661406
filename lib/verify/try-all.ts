import type { Host } from '../kvm/host.ts'
import { kvmKind, machineName, processorName } from '../kvm/this-machine.ts'
import { unpublished } from '../timebase/channels.ts'
import type { Certificate, TriedPromise, VerifyOptions } from './certificate.ts'
import { modelledKind } from './model.ts'
import { promises, WAYS_OF_MOVING } from './promises.ts'
import { Problems } from './trial.ts'
import type { Calls, Difference, Found, Promised, Trial } from './trial.ts'

/** Tries all promises of a library that has these calls. */
export async function tryAll(
  host: Host,
  calls: Calls,
  options: Required<Pick<VerifyOptions, 'seconds' | 'vcpus'>> & VerifyOptions,
): Promise<Certificate> {
  const { seconds, vcpus, signal = new AbortController().signal, onProgress } = options
  const tried: TriedPromise[] = []
  const differences: Difference[] = []
  for (const [index, promised] of promises.entries()) {
    const tell = (seen: string): void => {
      onProgress?.({ name: promised.name, index, total: promises.length, seen })
    }
    tell('')
    const moveForMs = (seconds * 1000) / WAYS_OF_MOVING
    const problems = new Problems()
    const trial = { host, calls: muted(calls), vcpus, moveForMs, signal, problems, tell }
    const { figures, differences: more = [] } = await tryOne(promised, trial)
    const { name } = promised
    tried.push({ name, kept: problems.all.length === 0, problems: problems.all, figures })
    differences.push(...more)
  }
  return {
    machine: machineName(),
    processor: processorName() ?? '',
    kind: kvmKind(host),
    timebaseFrequency: host.timebaseFrequency,
    model: modelledKind(host) ?? null,
    vcpus,
    seconds,
    ok: tried.every(({ kept }) => kept),
    promises: tried,
    differences,
  }
}

/** A call that fails breaks the promise, and does not keep the others from being tried. */
export async function tryOne(promised: Promised, trial: Trial): Promise<Found> {
  try {
    return await promised.try(trial)
  } catch (error) {
    trial.signal.throwIfAborted()
    trial.problems.add(error instanceof Error ? error.message : String(error))
    return { figures: [] }
  }
}

/** The caller's subscribers to the diagnostics channels are told nothing of these guests. */
function muted({ saveTimebase, loadTimebase, inheritTimebase }: Calls): Calls {
  return {
    saveTimebase: (...args) => unpublished(() => saveTimebase(...args)),
    loadTimebase: ((...args: Parameters<typeof loadTimebase>) =>
      unpublished(() => loadTimebase(...args))) as typeof loadTimebase,
    inheritTimebase: (...args) => unpublished(() => inheritTimebase(...args)),
  }
}
