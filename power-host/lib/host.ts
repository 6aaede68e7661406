import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { boot, type Ended } from './boot.ts'
import { withTemporary } from './cache.ts'
import { commandArchive } from './command.ts'
import { joinArchives } from './image.ts'
import type { Keyboard } from './keyboard.ts'
import { kernel, type KernelName } from './kernel.ts'
import { checkKernel, qemuArguments, type Machine } from './machine.ts'
import { OutDisk } from './out.ts'
import { beginStage } from './progress.ts'
import { qemu } from './qemu.ts'
import type { Origin } from './sources.ts'
import { userlandArchive } from './userland.ts'

/** The default memory of a host, which is enough for Node with Vitest. */
export const DEFAULT_MEMORY = '3G'

export interface Job {
  machine: Machine
  kernel: KernelName
  /**
   * Makes archives with the files that the command needs, by {@link pack}, in a folder that is removed after the
   * run. The host's kernel unpacks them in order, so that later files replace earlier ones.
   */
  archives: (folder: string) => Promise<readonly string[]>
  /** The absolute path on the host in which the command is run. */
  directory: string
  /** The Debian suite and the mirror that the host is made from. */
  origin?: Origin
  command: readonly string[]
  /** Variables for the command's environment, besides those for the terminal. */
  env?: Readonly<Record<string, string>>
  timeoutSeconds: number
  /** The memory of the host in QEMU's notation. The default is 3G. */
  memory?: string
  /** The folder on this machine into which the files from the host's folder $OUT are copied. */
  out?: string
  /** Ends the host early. */
  giveUp?: AbortSignal
  /** A promise to wait for before booting; the host is prepared in the meantime. */
  bootAfter?: Promise<unknown>
  /** A keyboard for the command, whose terminal is then the console. */
  keyboard?: Keyboard
}

/**
 * Makes an emulated host, boots it, runs a command there, and passes on its output as it comes.
 *
 * @throws {Failure} if the host could not be prepared, did not boot, or died, or if the time was up.
 */
export async function runOnHost(job: Job): Promise<Ended> {
  checkKernel(job.machine, job.kernel)
  const emulator = await qemu(job.machine.leastQemu)
  const userland = await userlandArchive(job.origin)
  const { release, image, modules } = await kernel(job.kernel, job.origin)
  return withTemporary(async (directory) => {
    const token = randomBytes(8).toString('hex')
    const initrd = path.join(directory, 'initrd')
    await joinArchives(
      [
        userland,
        modules,
        ...(await job.archives(directory)),
        await commandArchive(job, token, directory),
      ],
      initrd,
    )
    await job.bootAfter
    job.giveUp?.throwIfAborted()
    const onBegin = beginStage(`booting a ${job.machine.title} host with Linux ${release}`)
    const { timeoutSeconds, giveUp, keyboard, memory = DEFAULT_MEMORY, out } = job
    const disk = out === undefined ? undefined : await OutDisk.create(directory)
    const start = { image, initrd, memory, devices: disk?.devices(job.machine) ?? [] }
    const args = qemuArguments(job.machine, start)
    const ended = await boot({
      ...{ qemu: emulator, args, token, timeoutSeconds },
      ...{ onBegin, giveUp, keyboard },
    })
    if (out !== undefined) await disk?.unpack(out)
    return ended
  })
}
