import { copyFile, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { withTemporary } from './cache.ts'
import { fetched, type Origin } from './sources.ts'

/** The suites, the newest first: a newer kernel's header may have more registers. */
const suites = ['sid', 'forky']

/** The path of the newest POWER asm/kvm.h that Debian has, to compare registers with. */
export async function kvmHeader(origin: Origin = {}): Promise<string> {
  const name = 'linux-libc-dev'
  const entry = await fetched(
    {
      ...{ name: 'header', what: 'the kernel header', architecture: 'ppc64el', package: name },
      ...{ suites, complete: false, recipe: { version: 1 } },
    },
    origin,
    (archive, directory) =>
      withTemporary(async (unpacked) => {
        await archive.unpack([name], unpacked)
        const header = 'usr/include/powerpc64le-linux-gnu/asm/kvm.h'
        await mkdir(path.join(directory, 'asm'))
        await copyFile(path.join(unpacked, header), path.join(directory, 'asm/kvm.h'))
      }),
  )
  return path.join(entry.directory, 'asm/kvm.h')
}
