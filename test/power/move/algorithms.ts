import { loadTimebase, parseTimebase, saveTimebase, serializeTimebase } from '../../../lib/index.ts'
import type { TestGuest } from '../guest/index.ts'
import { QemuTimebase } from '../guest/qemu-timebase.ts'

/** A way to carry on a guest's timebase where it stopped; what `save` gives goes over the wire. */
export interface Algorithm {
  save(guest: TestGuest): string
  load(guest: TestGuest, saved: string): Promise<void>
}

export const algorithmNames = ['kvm-ppc-onereg', 'remembered offset'] as const

export type AlgorithmName = (typeof algorithmNames)[number]

/** For one guest on one host: what there is to be remembered is remembered here. */
export function newAlgorithm(name: AlgorithmName): Algorithm {
  return name === 'kvm-ppc-onereg' ? ours() : remembering()
}

function ours(): Algorithm {
  return {
    save: ({ vcpus }) => serializeTimebase(saveTimebase(vcpus)),
    load: async ({ vcpus }, saved) => {
      await loadTimebase(vcpus, parseTimebase(saved), { downtime: 'freeze', align: true })
    },
  }
}

function remembering(): Algorithm {
  const qemu = new QemuTimebase()
  return {
    save: ({ host }) => qemu.save(host).toString(),
    load: async ({ host, vcpus }, saved) => {
      qemu.load(host, vcpus, BigInt(saved))
      return Promise.resolve()
    },
  }
}
