import { describe, expect, it } from 'vitest'
import { KvmError, RestoreIncompleteError } from '../../../lib/errors.ts'
import { Host } from '../../../lib/kvm/host.ts'
import type { RegisterValues } from '../../../lib/registers.ts'
import type { RestoreOutcome } from '../../../lib/kvm/restore.ts'
import { registerOn } from '../../support/host-pair.ts'
import { errnos, FaultRig, inWords } from './rig.ts'
import type { Place } from './rig.ts'

/** Registers of every width, and what is to be in them. */
const wanted = {
  DAR: 1n,
  DSISR: 2,
  TB_OFFSET: 1n << 24n,
  // Ahead of the guest's timebase: an expiry that has passed is written as the present.
  DEC_EXPIRY: 1n << 62n,
  VTB: 5n,
  PURR: 6n,
  CIABR: 8n,
  FPSCR: 7n,
  VR7: new Uint8Array(16).fill(9),
  VSCR: 1,
} satisfies RegisterValues

/** The tests of snapshots and restores while calls to the kernel fail. */
export function describeSnapshots(place: Place): void {
  const { apart = 1 } = place

  describe('a snapshot', () => {
    it.each(errnos)('with one %s, at each call in turn', async (errno) => {
      const rig = new FaultRig(place)
      rig.hold('values of their own')
      const before = rig.registers()
      const { fd, id } = rig.vcpu(1)
      const complete = rig.plain[1]?.snapshot() ?? {}
      // Each time on a host that knows nothing of this kernel yet.
      const snapshot = (): RegisterValues => {
        using host = new Host(rig.kernel)
        return host.vcpu(fd, id).snapshot()
      }
      const opening = 3 // open, KVM_CHECK_EXTENSION, readlink of the vCPU
      const { calls, value } = await rig.run(snapshot, [])
      expect(value).toEqual(complete)
      for (const [index, call] of calls.entries()) {
        if ((index + errnos.indexOf(errno)) % apart !== 0) continue
        const where = inWords(index, call)
        const { value, error, after } = await rig.run(snapshot, [{ at: opening + index, errno }])
        expect(rig.failed, where).toContain(index)
        if (errno === 'EINTR') {
          expect(value, where).toEqual(complete)
        } else if (errno === 'EINVAL') {
          expect(value, where).toEqual({ ...complete, [call.register ?? 'DAR']: undefined })
          expect(value, where).not.toHaveProperty(call.register ?? 'DAR')
        } else {
          expect(error, where).toBeInstanceOf(KvmError)
          expect(error, where).toMatchObject({ ...call, code: errno })
        }
        expect(rig.differing(before, after), where).toEqual([])
      }
      rig.close()
    })
  })

  describe('a restore', () => {
    /** vCPU 1, a snapshot of its own with other values, and what it comes to. */
    async function prepared() {
      const rig = new FaultRig(place)
      rig.hold('values of their own')
      const before = rig.registers()
      const [, plain] = rig.plain
      if (plain === undefined) throw new Error('There is no vCPU 1')
      const held = plain.snapshot()
      const snapshot = Object.fromEntries(
        Object.entries({ ...held, ...wanted }).filter(([name]) => name in held),
      ) as RegisterValues
      const run = (...strikes: Parameters<FaultRig['run']>[1]) => {
        plain.restore(held, { timebase: true })
        return rig.run(() => rig.vcpu(1).restore(snapshot, { timebase: true }), strikes)
      }
      const clean = await run()
      expect(clean.error).toBeUndefined()
      expect(rig.differing(before, clean.after)).toContain(registerOn('VR7', rig.vcpu(1).id))
      const writes = clean.calls.filter(({ operation }) => operation === 'KVM_SET_ONE_REG')
      return { rig, id: rig.vcpu(1).id, run, clean, writes }
    }

    it.each(errnos)('with one %s, at each write in turn', async (errno) => {
      const { rig, id, run, clean, writes } = await prepared()
      const { refused } = clean.value as RestoreOutcome
      let missed = 0
      for (const [at, call] of writes.entries()) {
        if ((at + errnos.indexOf(errno)) % apart !== 0) continue
        const where = inWords(at, call)
        const { register = 'DAR' } = call
        // Before the writes the clock is read, for a decrementer that may have passed; that is not logged.
        const { value, error, after } = await run({ at: at + 1, errno })
        expect(rig.failed, where).toContain(at)
        // Some registers are parts of others, so that it may hold the value all the same.
        const missing = rig
          .differing(clean.after, after)
          .filter((name) => name.endsWith(` of vCPU ${id}`))
        if (missing.length > 0) missed++
        if (errno === 'EINTR') {
          expect(value, where).toEqual({ refused })
          expect(missing, where).toEqual([])
        } else if (errno === 'EINVAL') {
          const others = refused.filter((each) => each.register !== register)
          const list = missing.length > 0 ? [{ register, code: errno }] : []
          const now = (value as RestoreOutcome).refused
          expect(now, where).toEqual(expect.arrayContaining([...others, ...list]))
          expect(now.length, where).toBeLessThanOrEqual(others.length + 1)
        } else {
          expect(error, where).toBeInstanceOf(RestoreIncompleteError)
          expect(error, where).toMatchObject({
            code: 'ERR_RESTORE_INCOMPLETE',
            vcpu: id,
            failed: [{ register, code: errno }],
            refused: refused.filter((each) => each.register !== register),
            cause: { ...call, code: errno },
          })
        }
        // Nothing else is not as the snapshot wants it.
        if (register !== 'ARCH_COMPAT' && register !== 'LPCR_64' && register !== 'LPCR') {
          expect(
            missing.every((name) => name === registerOn(register, id)),
            where,
          ).toBe(true)
        }
      }
      expect(missed > 0).toBe(errno !== 'EINTR')
      rig.close()
    })

    it('where all calls fail, lists every register', async () => {
      const { rig, run, writes } = await prepared()
      rig.kernel.fail({ errno: 'EIO', skip: 0, times: 10_000 })
      const { error } = await run()
      expect(error).toBeInstanceOf(RestoreIncompleteError)
      const { failed, refused, message } = error as RestoreIncompleteError
      expect(failed.map(({ register }) => register)).toEqual(writes.map(({ register }) => register))
      expect(refused).toEqual([])
      expect(message).toMatch(/: (\w+ \(EIO\), ){8}\d+ more; none was$/)
      rig.close()
    })
  })
}
