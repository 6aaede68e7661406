import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { boot, type Ended } from './boot.ts'
import { withTemporary } from './cache.ts'
import { commandArchive } from './command.ts'
import { joinArchives } from './image.ts'
import type { Keyboard } from './keyboard.ts'
import { kernel, type KernelName } from './kernel.ts'
import { qemuArguments, type Machine } from './machine.ts'
import { beginStage } from './progress.ts'
import { qemu } from './qemu.ts'
import type { Origin } from './sources.ts'
import { projectArchives, type Extent } from '../../test/power/project.ts'
import { qemuArchive } from '../../test/power/qemu-archive.ts'
import { userlandArchive } from './userland.ts'

export interface Job {
  machine: Machine
  kernel: KernelName
  /** How much of the project the host gets, or an archive with what it gets instead. */
  extent: Extent | { archive: string }
  /** Which Debian suite and which mirror it is made from. */
  origin?: Origin
  command: readonly string[]
  timeoutSeconds: number
  /** Ends it before its time. */
  giveUp?: AbortSignal
  /** It is booted when this resolves, and prepared in the meantime. */
  bootAfter?: Promise<unknown>
  /** The command gets the console as its terminal, and this as its keyboard. */
  keyboard?: Keyboard
}

/** Makes an emulated host, boots it, and runs a command of the project on it. */
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
        ...(job.extent === 'qemu' ? [await qemuArchive(job.origin)] : []),
        modules,
        ...(typeof job.extent === 'object'
          ? [job.extent.archive]
          : await projectArchives(job.extent, directory)),
        await commandArchive(job.command, token, directory, job.keyboard && process.stdout),
      ],
      initrd,
    )
    await job.bootAfter
    job.giveUp?.throwIfAborted()
    const onBegin = beginStage(`booting a ${job.machine.title} host with Linux ${release}`)
    const args = qemuArguments(job.machine, image, initrd)
    const { timeoutSeconds, giveUp, keyboard } = job
    return boot({ qemu: emulator, args, token, timeoutSeconds, onBegin, giveUp, keyboard })
  })
}
