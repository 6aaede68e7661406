import { loadTimebase, parseTimebase, saveTimebase, serializeTimebase } from '../../../lib/index.ts'
import type { TestGuest } from '../guest/index.ts'
import { QemuTimebase } from '../guest/qemu-timebase.ts'

/** A way to carry on a guest's timebase where it stopped. */
export interface Algorithm {
  save(guest: TestGuest): Saved
  /** Gives the host's timebase for which the offset was chosen. */
  load(guest: TestGuest, words: string): Promise<bigint>
}

/** The text that goes over the wire, and the host's timebase at the instant for which it is right. */
export interface Saved {
  readonly words: string
  readonly hostTimebase: bigint
}

export const algorithmNames = ['kvm-ppc-onereg', 'remembered offset'] as const

export type AlgorithmName = (typeof algorithmNames)[number]

/** For one guest on one host: what there is to be remembered is remembered here. */
export function newAlgorithm(name: AlgorithmName): Algorithm {
  return name === 'kvm-ppc-onereg' ? ours() : remembering()
}

function ours(): Algorithm {
  return {
    save: ({ vcpus }) => {
      const state = saveTimebase(vcpus)
      const hostTimebase = BigInt.asUintN(64, state.guestTimebase - state.offset)
      return { words: serializeTimebase(state), hostTimebase }
    },
    load: async ({ vcpus }, words) => {
      const options = { downtime: 'freeze', align: true } as const
      const { guestTimebase, offset } = await loadTimebase(vcpus, parseTimebase(words), options)
      return BigInt.asUintN(64, guestTimebase - offset)
    },
  }
}

function remembering(): Algorithm {
  const qemu = new QemuTimebase()
  return {
    save: ({ host }) => {
      const { guestTimebase, hostTimebase } = qemu.save(host)
      return { words: guestTimebase.toString(), hostTimebase }
    },
    load: async ({ host, vcpus }, words) => Promise.resolve(qemu.load(host, vcpus, BigInt(words))),
  }
}
