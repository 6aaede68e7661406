import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import type { Machine } from './machine.ts'
import { run } from './run.ts'

/** Where the command finds the folder of which the files come back: its environment's OUT. */
export const OUT_ON_HOST = '/out'

/** More than the memory of a host can hold. The file is sparse: it takes the room of what is in it. */
const DISK_BYTES = 64 * 2 ** 30

/** A disk of the emulated host, onto which /init writes a tar archive of {@link OUT_ON_HOST}. */
export class OutDisk {
  readonly #image: string

  private constructor(image: string) {
    this.#image = image
  }

  static async create(folder: string): Promise<OutDisk> {
    const image = path.join(folder, 'out.tar')
    const file = await open(image, 'w')
    await file.truncate(DISK_BYTES)
    await file.close()
    return new OutDisk(image)
  }

  /** QEMU's arguments for a machine. Nothing on the disk has to outlive a crash of this machine. */
  devices({ pci }: Machine): string[] {
    const drive = `file=${this.#image},format=raw,if=none,id=out,cache=unsafe`
    const bus = pci === undefined ? '' : `,bus=${pci.bus}`
    return [...(pci?.args ?? []), '-drive', drive, '-device', `virtio-blk-pci,drive=out${bus}`]
  }

  async unpack(into: string): Promise<void> {
    await mkdir(into, { recursive: true })
    await run('tar', ['--extract', '--no-same-owner', '--file', this.#image, '--directory', into])
  }
}
