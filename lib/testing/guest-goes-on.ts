import { AssertionError } from 'node:assert'
import { checkObject, checkU64 } from '../checks.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { guestOf } from '../timebase/guest.ts'
import type { TimebaseState } from '../timebase/state.ts'
import type { Vcpu } from '../kvm/vcpu.ts'

/**
 * Asserts what matters to a guest whose timebase was moved: the timebase does not go back, and is the same on
 * all vCPUs. It reads the registers from the kernel, so it also finds a change that a monitor made after the
 * load. On a model of `papr`, where the registers of some vCPUs do not tell the guest's offset, it asks the
 * model for that, and so finds a vCPU that ran before it inherited the timebase.
 *
 *     assertGuestGoesOn(vcpus, state)
 *
 * To watch a guest over several moves, pass the result of the last call:
 *
 *     let seen = state.guestTimebase
 *     seen = assertGuestGoesOn(vcpus, seen)
 *
 * @param vcpus all vCPUs of the guest, stopped
 * @param since the saved state, or an earlier guest timebase, in ticks, u64. The comparison is modulo 2^64:
 *   a timebase that is more than 2^63 ticks ahead counts as behind
 * @returns the guest's timebase now, in ticks, u64
 * @throws AssertionError the one of node:assert; the message says by how much, and on which vCPU
 * @throws TypeError, RangeError, OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED; KvmError
 * @example
 * ```ts
 * const seen = assertGuestGoesOn(vcpus, state) // throws if the guest went back
 * ```
 * @group Two hosts
 */
export function assertGuestGoesOn(
  vcpus: readonly Vcpu[],
  since: bigint | Pick<TimebaseState, 'guestTimebase'>,
): bigint {
  const before = checkSince(since)
  const { system } = guestOf(vcpus)
  const inWords = (ticks: bigint): string => magnitude(ticks, system.timebaseFrequency)

  const offsets = vcpus.map((vcpu) => ({ id: vcpu.id, offset: vcpu.get('TB_OFFSET') }))
  const [first = { id: -1, offset: 0n }, ...others] = offsets
  const apart = others
    .map(({ id, offset }) => ({ id, ticks: BigInt.asIntN(64, offset - first.offset) }))
    .filter(({ ticks }) => ticks !== 0n)
    .map(({ id, ticks }) => `vCPU ${id} is ${inWords(ticks)} ${ticks < 0n ? 'behind' : 'ahead'}`)
  if (apart.length > 0) {
    throw new AssertionError({
      message: `The guest's vCPUs have different timebases: of vCPU ${first.id}, ${apart.join(', ')}`,
      actual: offsets.map(({ offset }) => offset),
      expected: offsets.map(() => first.offset),
      operator: 'assertGuestGoesOn',
    })
  }

  const model = modelOf(system.host.kernel)
  for (const { id, fd } of model === undefined ? [] : vcpus) {
    const offset = model?.guestOffset(fd) ?? 0n
    const ticks = BigInt.asIntN(64, offset - first.offset)
    if (ticks === 0n) continue
    throw new AssertionError({
      message:
        `The guest reads another timebase than TB_OFFSET of vCPU ${id} says, ${inWords(ticks)} ` +
        `${ticks < 0n ? 'behind' : 'ahead'}: another vCPU ran with TB_OFFSET ${offset}. On nested v2 the ` +
        'guest has one offset. Let a new vCPU inherit the timebase before it runs',
      actual: offset,
      expected: first.offset,
      operator: 'assertGuestGoesOn',
    })
  }

  const now = BigInt.asUintN(64, system.timebase() + first.offset)
  const advanced = BigInt.asIntN(64, now - before)
  if (advanced < 0n) {
    throw new AssertionError({
      message: `The guest's timebase went back by ${inWords(advanced)}: it was ${before} and is ${now}`,
      actual: now,
      expected: before,
      operator: 'assertGuestGoesOn',
    })
  }
  return now
}

/** The model behind a kernel and those that wrap it; undefined for the real kernel. */
function modelOf(kernel: Kernel): SoftwareKernel | undefined {
  let inner: unknown = kernel
  while (typeof inner === 'object' && inner !== null) {
    if (inner instanceof SoftwareKernel) return inner
    inner = 'kernel' in inner ? inner.kernel : undefined
  }
  return undefined
}

function checkSince(since: unknown): bigint {
  if (typeof since === 'bigint') return checkU64('since', since)
  const { guestTimebase } = checkObject('since', since) as Partial<TimebaseState>
  return checkU64('since.guestTimebase', guestTimebase)
}

/** `16777216 ticks (32.768 ms)` */
function magnitude(ticks: bigint, frequency: bigint): string {
  const size = ticks < 0n ? -ticks : ticks
  const ms = (Number(size) / Number(frequency)) * 1000
  return `${size} ${size === 1n ? 'tick' : 'ticks'} (${Number(ms.toPrecision(6))} ms)`
}
