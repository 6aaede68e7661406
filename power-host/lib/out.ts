import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import type { Machine } from './machine.ts'
import { run } from './run.ts'

/** The path of the folder whose files come back. The command gets it in the environment variable OUT. */
export const OUT_ON_HOST = '/out'

/** The size of the disk: more than the memory of a host. The file is sparse, so it takes only the room it needs. */
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

  /** QEMU's arguments for a machine. The cache is unsafe, since the disk need not survive a crash of this machine. */
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
