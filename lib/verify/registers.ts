import { errnoName, meansAbsent } from '../errno.ts'
import { KvmError } from '../errors.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'
import { Host } from '../kvm/host.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { registerNames } from '../registers.ts'
import type { RegisterName } from '../registers.ts'
import { TIMEBASE_OFFSET_STEP } from '../timebase/plan.ts'
import { timeRegisters } from '../timebase/timers.ts'
import { modelledKind } from './model.ts'
import { count } from './trial.ts'
import type { Difference, Found, Trial } from './trial.ts'

const U64 = 1n << 64n

/** Whole steps, their neighbours, and the largest, which wraps. */
const offsets = [
  0n,
  1n,
  TIMEBASE_OFFSET_STEP - 1n,
  TIMEBASE_OFFSET_STEP,
  TIMEBASE_OFFSET_STEP + 1n,
  0x1234_5678_9abcn,
  (1n << 63n) - 1n,
  (1n << 63n) + 1n,
  U64 - TIMEBASE_OFFSET_STEP,
  U64 - 1n,
]

/** TB_OFFSET is rounded up to a whole step, modulo 2^64, on each vCPU. */
export function rounding({ host, vcpus: number, problems }: Trial): Found {
  using vm = host.createVm()
  for (let id = 0; id < number; id++) {
    const vcpu = vm.createVcpu(id)
    for (const offset of offsets) {
      vcpu.set('TB_OFFSET', offset)
      const held = vcpu.get('TB_OFFSET')
      const wanted = BigInt.asUintN(64, -(-offset >> 24n) << 24n)
      problems.expect(
        held === wanted,
        () => `TB_OFFSET ${offset} of vCPU ${id} became ${held}, not ${wanted}`,
      )
    }
  }
  return { figures: [count('values', offsets.length * number)] }
}

/** Registers that hold another value at every moment. */
const counting = new Set<string>(timeRegisters.map(({ name }) => name))

/**
 * Which registers a new vCPU has and what they hold, beside the software model of this machine and kernel.
 * A difference does no harm to a move, but tests on the model tell less about this host.
 */
export function registersBesideModel({ host }: Trial): Found {
  const kind = modelledKind(host)
  using vm = host.createVm()
  using vcpu = vm.createVcpu(0)
  const found = answersOf(vcpu)
  const readable = [...found.values()].filter((answer) => !/^E[A-Z]+$/.test(answer)).length
  if (kind === undefined) return { figures: [count('registers', readable)] }
  using model = new Host(new SoftwareKernel(kind))
  const expected = answersOf(model.createVm().createVcpu(0))
  const differences = registerNames.flatMap((register): Difference[] => {
    const [here = '', there = ''] = [found.get(register), expected.get(register)]
    return here === there ? [] : [{ register, found: here, expected: there }]
  })
  const figures = [count('registers', readable), count('differences', differences.length)]
  return { figures, differences }
}

/** The value of each register as text, or the name of the error. */
function answersOf(vcpu: Vcpu): ReadonlyMap<RegisterName, string> {
  return new Map(registerNames.map((name) => [name, answerOf(vcpu, name)]))
}

function answerOf(vcpu: Vcpu, name: RegisterName): string {
  try {
    const value = vcpu.get(name)
    if (counting.has(name)) return 'counts'
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : `${value}`
  } catch (error) {
    if (error instanceof KvmError && meansAbsent(error.errno)) return errnoName(error.errno)
    throw error
  }
}
