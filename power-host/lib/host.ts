import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { boot, type Ended } from './boot.ts'
import { withTemporary } from './cache.ts'
import { commandArchive } from './command.ts'
import { joinArchives } from './image.ts'
import type { Keyboard } from './keyboard.ts'
import { kernel, type KernelName } from './kernel.ts'
import { qemuArguments, type Machine } from './machine.ts'
import { OutDisk } from './out.ts'
import { beginStage } from './progress.ts'
import { qemu } from './qemu.ts'
import type { Origin } from './sources.ts'
import { userlandArchive } from './userland.ts'

/** Enough for Node with vitest. */
export const DEFAULT_MEMORY = '3G'

export interface Job {
  machine: Machine
  kernel: KernelName
  /**
   * Makes the cpio archives with the files that the command needs, in a folder that is gone after the
   * run; see {@link pack}. The host's kernel unpacks them one after the other, the later over the earlier.
   */
  archives: (folder: string) => Promise<readonly string[]>
  /** Where on the host the command is run: an absolute path. */
  directory: string
  /** Which Debian suite and which mirror it is made from. */
  origin?: Origin
  command: readonly string[]
  /** Variables of the command's environment, besides those about the terminal here. */
  env?: Readonly<Record<string, string>>
  timeoutSeconds: number
  /** How much memory the host has, as QEMU has it: 3G by default. */
  memory?: string
  /** The folder here that gets the files which the command leaves in the folder $OUT there. */
  out?: string
  /** Ends it before its time. */
  giveUp?: AbortSignal
  /** It is booted when this resolves, and prepared in the meantime. */
  bootAfter?: Promise<unknown>
  /** The command gets the console as its terminal, and this as its keyboard. */
  keyboard?: Keyboard
}

/**
 * Makes an emulated host, boots it, runs a command there, and passes on its output as it comes.
 *
 * @throws {Failure} if the host could not be prepared, did not boot, or died, or if the time was up.
 */
export async function runOnHost(job: Job): Promise<Ended> {
  const emulator = await qemu()
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
