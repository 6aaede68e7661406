import { join } from 'node:path'
import type { Qmp } from '../../../support/qmp.ts'
import type { Capture } from './migration.ts'
import type { CaptureKind } from './kinds.ts'

/** Both ends have the same; QEMU wants no less RAM for a pseries guest. */
const RAM = '256M'

const OLD_MACHINE = /^pseries-(2\.|3\.|4\.0)/

/** QEMU's arguments for one end of a migration. */
export function guestArguments({ machine, mmu, kind }: Capture, folder: string): string[] {
  const options = [`${machine},accel=tcg,x-vof=on`]
  // TCG has no transactional memory, which old machines ask for.
  if (OLD_MACHINE.test(machine)) options.push('cap-htm=off')
  const backend = backendOf(kind, folder)
  if (backend) options.push('memory-backend=m0')
  return [
    ...['-M', options.join(','), '-m', RAM, '-cpu', mmu === 'radix' ? 'POWER9' : 'POWER8'],
    ...(backend ? ['-object', backend] : []),
    ...(kind.guest === 'uuid' ? ['-uuid', '5ca1ab1e-0000-4000-8000-00000badcafe'] : []),
    ...['-nodefaults', '-display', 'none', '-S'],
  ]
}

function backendOf({ guest }: CaptureKind, folder: string): string | undefined {
  const file = `memory-backend-file,id=m0,size=${RAM},share=on,mem-path=`
  // Both ends map the same file, so its pages need not be sent.
  if (guest === 'shared memory') return file + join(folder, 'memory')
  // chosen.c says that a file of this folder has pages of 2 MiB; each end has a file of its own.
  if (guest === 'huge pages') return file + folder
  return undefined
}

/** Adds what is not in the arguments, over QMP. */
export async function prepareGuest({ guest }: CaptureKind, qemu: Qmp): Promise<void> {
  if (guest !== 'block node' && guest !== 'dirty bitmap') return
  const node = { driver: 'null-co', 'node-name': 'disk', size: 1 << 30, 'read-zeroes': true }
  await qemu.execute('blockdev-add', node)
}

/** Gives the source's block node a bitmap with some bits set. */
export async function addDirtyBitmap({ guest }: CaptureKind, source: Qmp): Promise<void> {
  if (guest !== 'dirty bitmap') return
  await source.execute('block-dirty-bitmap-add', { node: 'disk', name: 'backup' })
  for (const offset of ['0', '512M', '1023M'])
    await source.ask(`qemu-io disk "write ${offset} 64k"`)
}
