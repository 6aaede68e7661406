import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { KvmError } from '../../../lib/errors.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import { Host } from '../../../lib/kvm/host.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import { thisKind } from '../../kernel/conformance/this-kind.ts'
import { TestGuest } from './index.ts'

const RUNS = 10
const OPERATIONS = 25
const LPCR_ILE = 0x0200_0000n

const native = new Host(new NativeKernel())
const kind = thisKind()
const isNestedV2 = kind.machine.startsWith('papr')

afterAll(() => {
  native.close()
})

/** The registers that are compared after each operation. */
const compared = ['TB_OFFSET', 'LPCR_64', 'ARCH_COMPAT', 'WORT', 'DAWRX', 'DAWRX1'] as const

/** A guest of the model with the same vCPUs. */
class Modelled {
  readonly vcpus: Vcpu[] = []
  readonly #kernel = new SoftwareKernel(kind)
  readonly #host = new Host(this.#kernel)
  readonly #vm = this.#host.createVm()

  addVcpu(): void {
    const vcpu = this.#vm.createVcpu(this.vcpus.length)
    // As TestGuest does.
    vcpu.set('LPCR_64', vcpu.get('LPCR_64') | LPCR_ILE)
    this.vcpus.push(vcpu)
  }

  /** Lets a vCPU run, and says with which offset the guest then reads its timebase. */
  run(vcpu: number): bigint {
    const fd = this.vcpus[vcpu]?.fd ?? -1
    const offset = this.#kernel.guestOffset(fd)
    this.#kernel.run(fd)
    return offset
  }

  close(): void {
    this.#host.close()
  }
}

type Operation =
  | { do: 'run'; vcpu: number }
  | { do: 'add' }
  | { do: 'set'; vcpu: number; register: 'TB_OFFSET' | 'WORT' | 'DAWRX' | 'DAWRX1'; value: bigint }
  | { do: 'set'; vcpu: number; register: 'ARCH_COMPAT'; value: number }

const vcpu = fc.nat(7)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('run' as const), vcpu }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('add' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      vcpu,
      register: fc.constant('TB_OFFSET' as const),
      value: fc.oneof(
        fc.constantFrom(0n, 5n << 40n, 9n << 40n, 1n << 63n, (1n << 64n) - (1n << 40n)),
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      vcpu,
      register: fc.constantFrom('WORT' as const, 'DAWRX' as const, 'DAWRX1' as const),
      // Watchpoints of no accesses, which do not stop the guest.
      value: fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }).map((high) => high << 32n),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      vcpu,
      register: fc.constant('ARCH_COMPAT' as const),
      // No mode, that of POWER9, and what is no mode: a processor's own PVR.
      value: fc.constantFrom(0, 0x0f00_0005, 0x0080_1200),
    }),
  },
)

/**
 * Writes to a register. A refusal is passed over, since what the registers hold is compared afterwards: Linux 7.2
 * refuses ARCH_COMPAT, although it stores the value, of a vCPU without KVM_CAP_PPC_PAPR, as those of the model.
 */
function trySet(vcpu: Vcpu | undefined, { register, value }: Operation & { do: 'set' }): void {
  try {
    vcpu?.write({ [register]: value })
  } catch (error) {
    if (!(error instanceof KvmError)) throw error
  }
}

/** The offset with which the guest read its timebase, to within the time that the call took. */
function readsWith(guest: TestGuest, vcpu: number, offset: bigint): boolean {
  const before = native.timebase()
  const read = BigInt.asUintN(64, guest.ask(vcpu) - offset)
  return read >= before && read <= native.timebase()
}

describe(`TB_OFFSET of a guest that runs on ${kind.machine}`, () => {
  it(`is in ${RUNS * OPERATIONS} random operations what the model says, and so is what a run changes`, () => {
    fc.assert(
      fc.property(
        fc.array(operation, { minLength: OPERATIONS, maxLength: OPERATIONS }),
        (operations) => {
          using guest = new TestGuest(native, 'ask', 2)
          const model = new Modelled()
          try {
            model.addVcpu()
            model.addVcpu()
            for (const each of operations) {
              const at = 'vcpu' in each ? each.vcpu % guest.vcpus.length : 0
              if (each.do === 'add') {
                guest.addVcpu()
                model.addVcpu()
              } else if (each.do === 'set') {
                trySet(guest.vcpus[at], each)
                trySet(model.vcpus[at], each)
              } else {
                const offset = model.run(at)
                expect(readsWith(guest, at, offset), `vCPU ${at} with ${offset}`).toBe(true)
              }
              const held = guest.vcpus.map((one) => one.read(compared))
              expect(held).toEqual(model.vcpus.map((one) => one.read(compared)))
            }
          } finally {
            model.close()
          }
        },
      ),
      { numRuns: RUNS, seed: Number(process.env['KVM_PPC_SEED'] ?? 1) },
    )
  })

  it('is the whole guest’s on nested v2, and each vCPU’s elsewhere', () => {
    using guest = new TestGuest(native, 'ask', 2)
    const [a, b] = guest.vcpus
    for (const vcpu of guest.vcpus) vcpu.set('TB_OFFSET', 5n << 40n)
    expect([readsWith(guest, 0, 5n << 40n), readsWith(guest, 1, 5n << 40n)]).toEqual([true, true])
    b?.set('TB_OFFSET', 9n << 40n)
    expect(readsWith(guest, 0, 5n << 40n)).toBe(true)
    expect(readsWith(guest, 1, 9n << 40n)).toBe(true)
    expect(readsWith(guest, 0, isNestedV2 ? 9n << 40n : 5n << 40n)).toBe(true)
    expect(a?.get('TB_OFFSET')).toBe(5n << 40n)
  })

  it('is 0 for all of a guest on nested v2 once a new vCPU has run, until that has inherited and run', () => {
    using guest = new TestGuest(native, 'ask', 1)
    guest.vcpus[0]?.set('TB_OFFSET', 5n << 40n)
    expect(readsWith(guest, 0, 5n << 40n)).toBe(true)
    const added = guest.addVcpu()
    expect(readsWith(guest, 0, 5n << 40n)).toBe(true)
    expect(readsWith(guest, 1, 0n)).toBe(true)
    expect(readsWith(guest, 0, isNestedV2 ? 0n : 5n << 40n)).toBe(true)
    added.set('TB_OFFSET', 5n << 40n)
    expect(readsWith(guest, 0, isNestedV2 ? 0n : 5n << 40n)).toBe(true)
    expect(readsWith(guest, 1, 5n << 40n)).toBe(true)
    expect(readsWith(guest, 0, 5n << 40n)).toBe(true)
  })

  it('is saved right of a guest that a new vCPU took to 0, and a load brings it back, whichever runs first', () => {
    using guest = new TestGuest(native, 'ask', 1)
    const [first] = guest.vcpus
    if (first === undefined) throw new Error('no vCPU')
    first.set('TB_OFFSET', 5n << 40n)
    expect(readsWith(guest, 0, 5n << 40n)).toBe(true)
    guest.addVcpu()
    expect(readsWith(guest, 1, 0n)).toBe(true)
    expect(readsWith(guest, 0, isNestedV2 ? 0n : 5n << 40n)).toBe(true)
    const state = saveTimebase([first])
    expect(state.guestTimebase >= 5n << 40n).toBe(true)
    const { offset } = loadTimebase(guest.vcpus, state)
    expect(readsWith(guest, 0, offset)).toBe(true)
    expect(readsWith(guest, 1, offset)).toBe(true)
  })
})

describe(`DEC_EXPIRY of a vCPU that has run on ${kind.machine}`, () => {
  /** Runs a vCPU, sets TB_OFFSET 2^40 further, and says by how much DEC_EXPIRY is ahead of the host's timebase. */
  function aheadAfterSet(vcpu: Vcpu, run: () => void, timebase: () => bigint, isRead: boolean) {
    vcpu.set('TB_OFFSET', 5n << 40n)
    vcpu.set('DEC_EXPIRY', timebase() + (5n << 40n) + (1n << 30n))
    run()
    if (isRead) vcpu.get('DEC_EXPIRY')
    vcpu.set('TB_OFFSET', 6n << 40n)
    const ahead = BigInt.asIntN(64, vcpu.get('DEC_EXPIRY') - timebase())
    return (ahead + (1n << 39n)) >> 40n
  }

  it.each([
    [false, isNestedV2 ? 6n : 5n],
    [true, 5n],
  ])('that was read: %s, is by about %s · 2^40 ahead of the host', (isRead, expected) => {
    using guest = new TestGuest(native, 'ask', 1)
    const [vcpu] = guest.vcpus
    const model = new SoftwareKernel(kind)
    using host = new Host(model)
    const modelled = host.createVm().createVcpu(0)
    if (vcpu === undefined) throw new Error('no vCPU')
    const real = aheadAfterSet(
      vcpu,
      () => guest.ask(0),
      () => native.timebase(),
      isRead,
    )
    const as = aheadAfterSet(
      modelled,
      () => model.run(modelled.fd),
      () => host.timebase(),
      isRead,
    )
    expect({ real, as }).toEqual({ real: expected, as: expected })
  })
})
