import { setTimeout as wait } from 'node:timers/promises'
import { describe, it } from 'vitest'
import { kvmKind } from '../../../lib/kvm/this-machine.ts'
import type { Host } from '../../../lib/kvm/host.ts'
import { TestGuest } from './index.ts'

/**
 * Whether a decrementer fires at once that is armed for seconds. QEMU 9.1 to 11.1 let it do so below nested v2: when
 * they leave a vCPU they compute its expiry as `now - decr`, with the wrong sign (exit_nested_store_l2 in
 * hw/ppc/spapr_nested.c, line 1615 in QEMU 10.0). No KVM on another host does.
 */
async function decrementersFireAtOnce(host: Host): Promise<boolean> {
  if (kvmKind(host) !== 'nested-v2') return false
  using guest = new TestGuest(host, 'decrementer', 1)
  // As long as a decrementer of 32 bits can be armed for.
  const armedFor = 4n * host.timebaseFrequency
  guest.setDecrementer(armedFor)
  guest.start()
  while (guest.decremented(0).last === 0n) await wait(1)
  // It leaves KVM_RUN and enters it again, by which the hypervisor below saves and loads the expiry.
  guest.stop()
  guest.start()
  await wait(200)
  guest.stop()
  return guest.decremented(0).times > 0n
}

/** `describe` for tests that need a decrementer, or with such a QEMU a test that names what is left out. */
export async function describeWithDecrementer(
  host: Host,
): Promise<(what: string, tests: () => void) => void> {
  return (await decrementersFireAtOnce(host)) ? leaveOut : describe
}

function leaveOut(what: string): void {
  it(`${what}: left out, since this QEMU lets decrementers fire at once (exit_nested_store_l2 in hw/ppc/spapr_nested.c)`, () => {
    console.log(`Left out: ${what}`)
  })
}
