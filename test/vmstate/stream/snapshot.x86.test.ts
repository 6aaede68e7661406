import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { readQemuStream } from '../../../lib/vmstate/index.ts'
import { describeUnless } from '../../support/lacking.ts'
import { guestProgram } from '../../support/qemu-guest.ts'
import { qemuLacks, runUntilItReads, timebaseIn } from '../../support/qemu-stream.ts'
import { Qmp } from '../../support/qmp.ts'

// A busy machine gives QEMU little time.
vi.setConfig({ testTimeout: 180_000 })

/** Runs one of QEMU's jobs to its end. */
async function runJob(qemu: Qmp, command: string, parameters: object): Promise<void> {
  await qemu.execute(command, { 'job-id': 'job', ...parameters })
  for (;;) {
    const [job] = (await qemu.execute('query-jobs')) as { status: string; error?: string }[]
    if (job?.status === 'concluded') {
      await qemu.execute('job-dismiss', { id: 'job' })
      if (job.error !== undefined) throw new Error(`${command}: ${job.error}`)
      return
    }
    await sleep(20)
  }
}

describeUnless(qemuLacks, 'a qcow2 image into which QEMU has just saved its guest', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
  })
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  it('has the timebase of each snapshot, among clusters of the disk', async () => {
    const filename = path.join(folder, 'disk.qcow2')
    const kernel = path.join(folder, 'kernel.elf')
    writeFileSync(kernel, guestProgram('radix'))
    const qemu = new Qmp('qemu-system-ppc64', [
      ...['-M', 'pseries,accel=tcg,x-vof=on', '-cpu', 'POWER9', '-m', '256M', '-nodefaults'],
      ...['-display', 'none', '-S', '-kernel', kernel],
    ])
    const timebases: bigint[] = []
    try {
      await qemu.execute('qmp_capabilities')
      await runJob(qemu, 'blockdev-create', { options: { driver: 'file', filename, size: 0 } })
      await qemu.execute('blockdev-add', { driver: 'file', 'node-name': 'file', filename })
      await runJob(qemu, 'blockdev-create', {
        options: { driver: 'qcow2', file: 'file', size: 3 << 20 },
      })
      await qemu.execute('blockdev-add', { driver: 'qcow2', 'node-name': 'disk', file: 'file' })
      await runUntilItReads(qemu)
      for (const tag of ['before', 'after']) {
        timebases.push(timebaseIn(await qemu.ask('info registers')))
        await runJob(qemu, 'snapshot-save', { tag, vmstate: 'disk', devices: ['disk'] })
        await qemu.ask('qemu-io disk "write 0 1M"')
        await qemu.execute('cont')
        await sleep(50)
        await qemu.execute('stop')
      }
      await qemu.execute('quit')
    } finally {
      qemu.kill()
    }
    const read = async (snapshot: string) =>
      (await readQemuStream(filename, { snapshot })).timebase.virtualClockTimebase
    expect([await read('before'), await read('after')]).toEqual(timebases)
    expect(timebases[1]).toBeGreaterThan(timebases[0] ?? 0n)
  })
})
