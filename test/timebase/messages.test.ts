import { beforeEach, describe, expect, it } from 'vitest'
import type { OneRegBatch } from '../../lib/kernel/batch.ts'
import { errnos } from '../../lib/errno.ts'
import { TimebaseNotAppliedError } from '../../lib/errors.ts'
import { Host, openHost } from '../../lib/kvm/host.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { planTimebase } from '../../lib/timebase/plan.ts'
import { parseTimebase } from '../../lib/timebase/state.ts'
import type { TimebaseState } from '../../lib/timebase/state.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { HandMovedTime } from '../../lib/testing/hand-moved-time.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { caught } from '../support/caught.ts'
import { errorOf } from '../support/error-of.ts'

const FROZEN = { downtime: 'freeze' } as const

/** Time that stands still, or offsets would not come out the same each time. */
const time = new HandMovedTime().read

let kernel: FailingKernel
let first: Vcpu
let second: Vcpu
let vcpus: Vcpu[]
let state: TimebaseState

beforeEach(() => {
  kernel = new FailingKernel(new SoftwareKernel({ time }))
  const vm = new Host(kernel).createVm()
  first = vm.createVcpu(0)
  second = vm.createVcpu(1)
  vcpus = [first, second]
  state = saveTimebase(vcpus)
})

function message(call: () => unknown): string {
  return (errorOf(call) as Error).message
}

describe('planTimebase says of options', () => {
  it.each<[unknown, string]>([
    [null, 'options must be an object, not null'],
    [{ align: true }, "options may have only 'downtime', 'rounding', 'maxDowntimeNs', not 'align'"],
  ])('%o what is wrong with them', (options, said) => {
    const sample = { timebase: 0n, timeOfDayNs: 0n, timebaseFrequency: 1n, uncertaintyNs: 0n }
    expect(message(() => planTimebase(state, sample, options as never))).toBe(said)
  })
})

describe('loadTimebase says of options', () => {
  it.each<[unknown, string]>([
    [null, 'options must be an object, not null'],
    [[], 'options must be an object, not []'],
    [
      { downTime: 'freeze' },
      "options may have only 'downtime', 'rounding', 'maxDowntimeNs', 'align', 'onWritten', not 'downTime'",
    ],
    [{ downtime: 'pause' }, "options.downtime must be one of 'advance', 'freeze', not 'pause'"],
    [{ rounding: 'down' }, "options.rounding must be one of 'nearest', 'up', not 'down'"],
    [{ maxDowntimeNs: 5 }, 'options.maxDowntimeNs must be a bigint, not 5; write 1n, not 1'],
    [{ maxDowntimeNs: -5n }, 'options.maxDowntimeNs must be from 0 to 2^64 - 1, not -5n'],
    [{ align: 'yes' }, "options.align must be a boolean, not 'yes'"],
  ])('%o what is wrong with them', (options, said) => {
    expect(message(() => loadTimebase(vcpus, state, options as never))).toBe(said)
  })

  it('that a guest can be aligned only where it goes on from its own time', async () => {
    await expect(loadTimebase(vcpus, state, { align: true } as never)).rejects.toThrow(
      "options.downtime must be 'freeze' with align, not 'advance'",
    )
  })
})

describe('loadTimebase says of a state', () => {
  it.each<[object, string]>([
    [{ guestTimebase: 1 }, 'state.guestTimebase must be a bigint, not 1; write 1n, not 1'],
    [{ timebaseFrequency: 0n }, 'state.timebaseFrequency must be from 1 to 2^64 - 1, not 0n'],
    [{ vcpus: {} }, 'state.vcpus must be an array of timers, not {}'],
    [{ vcpus: [{ id: -1 }] }, 'state.vcpus[0].id must be an integer from 0 to 2147483647, not -1'],
    [{ vcpus: [{ id: 0, vtb: -1n }] }, 'state.vcpus[0].vtb must be from 0 to 2^64 - 1, not -1n'],
    [{ vcpus: [{ id: 7 }, { id: 7 }] }, 'state.vcpus[1].id must be unique, not 7'],
  ])('%o what is wrong with it', (changes, said) => {
    expect(message(() => loadTimebase(vcpus, { ...state, ...changes }))).toBe(said)
  })
})

describe('saveTimebase says of vCPUs', () => {
  it('that there must be some', () => {
    expect(message(() => saveTimebase([]))).toBe('No vCPUs were given')
    expect(message(() => saveTimebase(first as never))).toMatch(
      /^vcpus must be an array of vCPUs, not Vcpu /,
    )
    expect(message(() => saveTimebase([5 as never]))).toBe('a vCPU must be a Vcpu, not 5')
  })

  it('that they must be of one guest', () => {
    const elsewhere = new Host(new SoftwareKernel()).createVm().createVcpu(2)
    const another = 'The vCPUs belong to different hosts'
    expect(message(() => saveTimebase([first, elsewhere]))).toBe(another)
    expect(message(() => saveTimebase([second, first, second]))).toBe('vCPU 1 was given twice')
  })
})

describe('what is handed in wrongly is named', () => {
  const cases: Record<string, [() => unknown, string]> = {
    'openHost(5)': [() => openHost(5 as never), 'options must be an object, not 5'],
    'openHost({ device: 5 })': [
      () => openHost({ device: 5 as never }),
      'options.device must be a string, not 5',
    ],
    "checkExtension('1')": [
      () => first.host.checkExtension('1' as never),
      "extension must be a number, not '1'",
    ],
    'createVcpu(-1)': [
      () => first.host.createVm().createVcpu(-1),
      'id must be an integer from 0 to 2147483647, not -1',
    ],
    'host.vcpu(-1, 0)': [
      () => first.host.vcpu(-1, 0),
      'fd must be an integer from 0 to 2147483647, not -1',
    ],
    'host.vcpu(9, 0.5)': [
      () => first.host.vcpu(9, 0.5),
      'id must be an integer from 0 to 2147483647, not 0.5',
    ],
    'getRaw(1)': [() => first.getRaw(1 as never), 'id must be a bigint, not 1; write 1n, not 1'],
    'setRaw(-1n)': [
      () => {
        first.setRaw(-1n, new Uint8Array(1))
      },
      'id must be from 0 to 2^64 - 1, not -1n',
    ],
    'restore(null)': [() => first.restore(null as never), 'snapshot must be an object, not null'],
    'restore({}, 1)': [() => first.restore({}, 1 as never), 'options must be an object, not 1'],
    "restore({}, { timebase: 'no' })": [
      () => first.restore({}, { timebase: 'no' as never }),
      "options.timebase must be a boolean, not 'no'",
    ],
    'parseTimebase(1)': [() => parseTimebase(1 as never), 'text must be a string, not 1'],
    "bind(['DAR', 'DAR'])": [
      () => first.bind(['DAR', 'DAR']),
      "names must be names that differ, not [ 'DAR', 'DAR' ]",
    ],
    'a register that is not bound': [
      () => first.bind(['DAR', 'DSISR']).get('VTB' as never),
      "the register must be one of those bound: DAR, DSISR, not 'VTB'",
    ],
  }

  it.each(Object.entries(cases))('%s', (_name, [call, said]) => {
    expect(message(call)).toBe(said)
  })

  it.each<[object, string]>([
    [{ signals: 1 }, "options may have only 'signal', not 'signals'"],
    [{ signal: 'now' }, "options.signal must be an AbortSignal, not 'now'"],
    [{ signal: {} }, 'options.signal must be an AbortSignal, not {}'],
  ])('getAsync(%o)', async (options, said) => {
    await expect(first.getAsync('DAR', options as never)).rejects.toThrow(said)
  })
})

describe('what is closed is named', () => {
  it('as vCPU, VM and host', () => {
    const { host } = first
    const vm = host.createVm()
    const third = vm.createVcpu(3)
    third.close()
    expect(message(() => third.get('DAR'))).toMatch(/^vCPU 3 is closed/)
    vm.close()
    expect(message(() => vm.createVcpu(4))).toMatch(/^The VM is closed/)
    const ofThisLibrary = host.vcpu(first.fd, 0)
    const borrowed = host.vcpu(kernel.createVcpu(kernel.createVm(host.fd, 0), 5), 5)
    host.close()
    expect(message(() => host.createVm())).toMatch(/^The host is closed/)
    expect(message(() => ofThisLibrary.get('DAR'))).toMatch(/^vCPU 0 is closed/)
    expect(message(() => borrowed.get('DAR'))).toMatch(/^The host is closed/)
  })
})

describe('a load that fails says', () => {
  const calls = {
    loadTimebase: () => loadTimebase(vcpus, state),
    inheritTimebase: () => inheritTimebase(first, second),
  }

  it.each(Object.entries(calls))('that nothing was changed before %s wrote', (_name, call) => {
    kernel.fail({ errno: 'ENOMEM', operation: 'KVM_GET_ONE_REG' })
    expect(message(call)).toMatch(
      /^The timebase was not applied: KVM_GET_ONE_REG of TB_OFFSET on vCPU \d failed: ENOMEM.*\. Nothing had been changed$/,
    )
  })

  it.each(Object.entries(calls))('that everything was put back after %s wrote', (_name, call) => {
    kernel.fail({ errno: 'ENOMEM', operation: 'KVM_SET_ONE_REG', register: 'DEC_EXPIRY' })
    expect(message(call)).toMatch(
      /^The timebase was not applied: KVM_SET_ONE_REG of DEC_EXPIRY on vCPU \d failed: ENOMEM.*\. Everything was put back as it was$/,
    )
  })

  it.each([
    ['was not written', {}, 'KVM_SET_ONE_REG: EAGAIN, reads 1099511627776'],
    ['cannot be read either', { errno: 'EIO' }, 'KVM_SET_ONE_REG: EAGAIN, KVM_GET_ONE_REG: EIO'],
  ] as const)('that one could not be put back: it %s', (_what, read, problem) => {
    const later = { ...state, guestTimebase: state.guestTimebase + (1n << 40n) }
    kernel.fail({ errno: 'ENOMEM', operation: 'KVM_SET_ONE_REG', register: 'DEC_EXPIRY' })
    // The third write of the two offsets is the first that puts one back.
    const offset = { register: 'TB_OFFSET' } as const
    kernel.fail({ ...offset, errno: 'EAGAIN', operation: 'KVM_SET_ONE_REG', skip: 2 })
    if ('errno' in read) {
      kernel.fail({ ...offset, ...read, operation: 'KVM_GET_ONE_REG', skip: 4, times: 2 })
    }
    const error = caught(TimebaseNotAppliedError, () => loadTimebase(vcpus, later, FROZEN))
    expect(error.notRestored).toEqual([{ vcpu: 0, register: 'TB_OFFSET', problem }])
    expect(error.message).toMatch(
      `These could not be put back: TB_OFFSET on vCPU 0 (${problem}); do not run this guest`,
    )
  })
  it('that one could not be put back: it was set to no effect', () => {
    let calls = 0
    class Deaf extends SoftwareKernel {
      override setOneRegs(batch: OneRegBatch): number {
        if (++calls === 1) return super.setOneRegs(batch)
        const result = calls === 2 ? -errnos.EIO : 0
        batch.results.fill(result)
        return result
      }
    }
    const vcpu = new Host(new Deaf({ time })).createVm().createVcpu(0)
    const later = { ...state, guestTimebase: state.guestTimebase + (1n << 40n), vcpus: [{ id: 0 }] }
    const error = caught(TimebaseNotAppliedError, () => loadTimebase([vcpu], later, FROZEN))
    expect(error.notRestored[0]).toEqual({
      vcpu: 0,
      register: 'TB_OFFSET',
      problem: 'was set to 0, reads 1099511627776',
    })
  })
})
