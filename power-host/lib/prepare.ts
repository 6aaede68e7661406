import { Failure } from './failure.ts'
import { interrupted } from './interrupt.ts'
import { kernel, kernelNames, type KernelName } from './kernel.ts'
import { allMachines } from './machine.ts'
import { qemu } from './qemu.ts'
import { chosenOrigin, type Origin } from './sources.ts'
import { tool } from './tools.ts'
import { userlandArchive } from './userland.ts'

/**
 * Fetches everything that hosts with these kernels need, so that they can be booted later without a network. If
 * a part cannot be fetched, the others still are, and it fails afterwards.
 */
export async function prepare(
  kernels: readonly KernelName[] = kernelNames,
  origin: Origin = chosenOrigin(),
): Promise<void> {
  const parts: (() => Promise<unknown>)[] = [
    ...allMachines().map(
      ({ leastQemu }) =>
        () =>
          qemu(leastQemu),
    ),
    () => tool('cpio'),
    () => tool('lz4'),
    () => userlandArchive(origin),
    ...kernels.map((name) => () => kernel(name, origin)),
  ]
  const failures: string[] = []
  for (const part of parts) {
    await part().catch((error: unknown) => {
      interrupted.throwIfAborted()
      if (!(error instanceof Failure)) throw error
      failures.push(error.message)
    })
  }
  if (failures.length > 0) throw new Failure(failures.join('\n'))
}
