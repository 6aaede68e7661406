import { loadTimebase, saveTimebase } from '../../lib/migration.ts'
import { Host } from '../../lib/host.ts'
import { NativeKernel } from '../../lib/native.ts'
import type { Vcpu } from '../../lib/vcpu.ts'

/** Calls on real KVM that go on until something ends them from outside; each tells when it has begun. */
export type EndlessCalls = (begun: () => void) => Promise<never>

const NAMES = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'DAR'] as const

/** The kinds of calls that there are, as far as what may happen in the middle of them goes. */
export const endlessCalls = {
  'one register': synchronous((vcpu) => {
    vcpu.get('TB_OFFSET')
  }),
  'many registers': synchronous((vcpu) => vcpu.read(NAMES)),
  'bound registers': synchronous((vcpu) => {
    vcpu.bind(NAMES).read()
  }),
  'a raw register': synchronous((vcpu) => vcpu.getRaw(0x1030_0000_0000_009cn)),
  'save and load': synchronous((vcpu) => {
    loadTimebase([vcpu], saveTimebase([vcpu]))
  }),
  'open and close': synchronous(() => {
    const host = new Host(new NativeKernel())
    host.createVm().createVcpu(0)
    host.close()
  }),
  'off the thread': async (begun) => {
    const vcpus = [newVcpu(), newVcpu(), newVcpu()]
    for (;;) {
      await Promise.all(
        vcpus.flatMap((vcpu) => [
          unlessLacking(() => vcpu.getAsync('DAR')),
          unlessLacking(() => vcpu.setAsync('DAR', 1n)),
          unlessLacking(() => vcpu.readAsync(NAMES)),
        ]),
      )
      begun()
    }
  },
} satisfies Record<string, EndlessCalls>

export type EndlessKind = keyof typeof endlessCalls

function newVcpu(): Vcpu {
  return new Host(new NativeKernel()).createVm().createVcpu(0)
}

/** They never let the event loop go on. */
function synchronous(call: (vcpu: Vcpu) => unknown): EndlessCalls {
  return (begun) => {
    const vcpu = newVcpu()
    for (let round = 0; ; round++) {
      try {
        call(vcpu)
      } catch (error) {
        ignoreLacking(error)
      }
      if (round === 3) begun()
    }
  }
}

async function unlessLacking(call: () => Promise<unknown>): Promise<void> {
  await call().catch(ignoreLacking)
}

/** An x86 has none of the registers, and no timebase: asking for them is as good a call as any. */
function ignoreLacking(error: unknown): void {
  const lacking = ['EINVAL', 'ERR_KVM_UNAVAILABLE']
  if (process.arch !== 'ppc64' && lacking.includes((error as { code?: string }).code ?? '')) return
  throw error
}
