import { Command } from 'commander'
import { VmstateError } from '../../../lib/errors.ts'
import { readQemuStream } from '../../../lib/vmstate/index.ts'
import { cpuMilliseconds, Dice, mutated } from '../mutations.ts'
import { smallImages, smallStreams } from './mutable.ts'

/** A mutation that takes longer, in ms of work, is a hang. */
const SLOW_MS = 1000
/** What may be allocated at once for a stream of a few kilobytes: a chunk, or what unpacking needs. */
const LARGE_BYTES = 4 << 20

/** npm run check:streams -- fuzz: mutants of every kind, each of them read or refused, at once and in little memory. */
export function fuzzCommand(): Command {
  return new Command('fuzz')
    .description('reads mutants of streams and images of every kind, which are read or refused')
    .argument('[mutants]', 'how many', Number, 200_000)
    .option('--seed <number>', 'for others', Number, 1)
    .action(run)
}

async function run(mutants: number, { seed }: { seed: number }): Promise<void> {
  const dice = new Dice(seed)
  const bases = [...smallStreams, ...smallImages]
  const codes = new Map<string, number>()
  const worst = { ms: 0, bytes: 0 }
  const stopCounting = largestAllocation((bytes) => (worst.bytes = Math.max(worst.bytes, bytes)))
  for (let done = 0; done < mutants; done++) {
    const mutant = mutated(dice.pick(bases), dice, bases)
    const search = dice.below(2) === 1
    const started = cpuMilliseconds()
    const outcome = await attempt(mutant, search).catch((error: unknown) => {
      throw new Error(`mutant ${done} of seed ${seed}`, { cause: error })
    })
    worst.ms = Math.max(worst.ms, cpuMilliseconds() - started)
    codes.set(outcome, (codes.get(outcome) ?? 0) + 1)
  }
  stopCounting()
  const rss = process.resourceUsage().maxRSS / 1024
  for (const [outcome, count] of [...codes].sort(([, a], [, b]) => b - a)) {
    console.log(`${String(count).padStart(8)} ${outcome}`)
  }
  console.log(
    `${mutants} mutants of ${bases.length} streams and images, seed ${seed}: the slowest took ${worst.ms.toFixed(0)} ms of work, the largest allocation had ${worst.bytes} bytes, ${rss.toFixed(0)} MiB at most`,
  )
  if (worst.ms > SLOW_MS || worst.bytes > LARGE_BYTES) process.exitCode = 1
}

/** What became of it. Throws what is neither a value nor one of our errors. */
async function attempt(bytes: Buffer, search: boolean): Promise<string> {
  try {
    await readQemuStream(bytes, { search })
    return 'read'
  } catch (error) {
    if (error instanceof VmstateError) return error.code
    throw error
  }
}

/** Reports the size of each Buffer that is made of a size. */
function largestAllocation(report: (bytes: number) => void): () => void {
  const names = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const
  const makers = Buffer as unknown as Record<string, (size: number, ...rest: unknown[]) => Buffer>
  const originals = names.map((name) => [name, makers[name]] as const)
  for (const [name, original] of originals) {
    if (original === undefined) continue
    makers[name] = (size, ...rest) => {
      report(size)
      return original.call(Buffer, size, ...rest)
    }
  }
  return () => {
    for (const [name, original] of originals) if (original) makers[name] = original
  }
}
