import { KvmError } from '../errors.ts'
import { errnos, meansAbsent } from '../errno.ts'
import { takeValue } from './entries.ts'
import { layoutOf } from './layout.ts'
import type { OpenVcpu } from './open-vcpu.ts'
import { snapshotToJson } from './register-text.ts'
import { registerNames } from '../registers.ts'
import type { RegisterName, RegisterValues } from '../registers.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import type { Scratch } from './scratch.ts'
import { withToJson } from '../state-text.ts'
import type { Steps } from './steps.ts'

/**
 * {@link Vcpu.snapshot}.
 *
 * @param scratch where the batch comes from
 */
export function* readSnapshot(vcpu: OpenVcpu, scratch: Scratch): Steps<RegisterValues> {
  const { names, registers, ids } = (vcpu.present.layout ??= layoutOf(registerNames))
  const batch = scratch.take(names.length)
  batch.ids.set(ids)
  yield { operation: 'KVM_GET_ONE_REG', batch }
  const snapshot: Partial<Record<RegisterName, AnyRegisterValue>> = {}
  const absent = new Set<RegisterName>()
  let held = 0
  registers.forEach(({ name, width }, index) => {
    const result = batch.results[index] ?? 0
    if (result >= 0) {
      snapshot[name] = takeValue(batch, index, width)
      held++
    } else if (!meansAbsent(result)) throw failed(vcpu, name, result)
    // Other codes may mean a device that the VM can get later: without one ICP_STATE gives ENXIO.
    else if (result === -errnos.EINVAL) absent.add(name)
  })
  const [first] = names
  // A vCPU has some registers, so the descriptor is that of another file, such as /dev/kvm.
  if (first !== undefined && held === 0) throw failed(vcpu, first, batch.results[0] ?? 0)
  scratch.giveBack(batch)
  if (absent.size > 0) vcpu.present.layout = layoutOf(names.filter((name) => !absent.has(name)))
  return withToJson(snapshot as RegisterValues, snapshotToJson)
}

function failed(vcpu: OpenVcpu, register: RegisterName, result: number): KvmError {
  return new KvmError(result, { operation: 'KVM_GET_ONE_REG', register, vcpu: vcpu.id })
}
