import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { Host } from '../../lib/kvm/host.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'

const NAMES = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'DAR'] as const

/** The kinds of calls that behave differently when a worker or process ends in the middle of one. */
export const callKinds = {
  'one register': (vcpu) => vcpu.get('TB_OFFSET'),
  'many registers': (vcpu) => vcpu.read(NAMES),
  'bound registers': (vcpu) => {
    vcpu.bind(NAMES).read()
  },
  'a raw register': (vcpu) => vcpu.getRaw(0x1030_0000_0000_009cn),
  'save and load': (vcpu) => {
    loadTimebase([vcpu], saveTimebase([vcpu]))
  },
  'open and close': () => {
    using host = new Host(new NativeKernel())
    host.createVm().createVcpu(0)
  },
  'off the thread': async (vcpu) => {
    const calls = [vcpu.getAsync('DAR'), vcpu.setAsync('DAR', 1n), vcpu.readAsync(NAMES)]
    await Promise.all(calls.map((call) => call.catch(ignoreLacking)))
  },
} satisfies Record<string, (vcpu: Vcpu) => unknown>

export type CallKind = keyof typeof callKinds

/**
 * Makes calls of these kinds in turn on real KVM, until the worker or process is ended from outside. The event
 * loop runs only while a call is off the thread.
 *
 * @param begun called after one call of each kind
 */
export async function callEndlessly(kinds: readonly CallKind[], begun: () => void): Promise<never> {
  const vcpu = new Host(new NativeKernel()).createVm().createVcpu(0)
  for (let round = 0; ; round++) {
    for (const kind of kinds) {
      try {
        const call = callKinds[kind](vcpu)
        if (call instanceof Promise) await call
      } catch (error) {
        ignoreLacking(error)
      }
    }
    if (round === 3) begun()
  }
}

/** On x86 the calls fail, since it has neither the registers nor a timebase; for these tests that is enough. */
function ignoreLacking(error: unknown): void {
  const lacking = ['EINVAL', 'ERR_KVM_UNAVAILABLE']
  if (process.arch !== 'ppc64' && lacking.includes((error as { code?: string }).code ?? '')) return
  throw error
}
