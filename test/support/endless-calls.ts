import { loadTimebase, saveTimebase } from '../../lib/timebase/migration.ts'
import { Host } from '../../lib/kvm/host.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'

const NAMES = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'DAR'] as const

/** The kinds of calls that there are, as far as what may happen in the middle of one goes. */
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
 * Makes calls of these kinds by turns on real KVM, until something ends that from outside. The event
 * loop goes on only where some of them are off the thread.
 *
 * @param begun called once each has been made
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

/** An x86 has none of the registers, and no timebase: asking for them is as good a call as any. */
function ignoreLacking(error: unknown): void {
  const lacking = ['EINVAL', 'ERR_KVM_UNAVAILABLE']
  if (process.arch !== 'ppc64' && lacking.includes((error as { code?: string }).code ?? '')) return
  throw error
}
