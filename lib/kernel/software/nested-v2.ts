import type { RegisterName } from '../../registers.ts'

/**
 * A model of how KVM in a partition hands registers to the hypervisor below by the PAPR interface ("nested v2").
 *
 * Setting a register changes the copy of the partition's kernel. When the vCPU next enters the guest, what was
 * set since the last time is sent below, and at the first time everything. Afterwards most registers are read
 * back from below when they are next asked for. TB_OFFSET is not: it is an element of the whole guest there, so
 * the one that was last sent holds for all vCPUs, while each keeps its own copy. DEC_EXPIRY is held below in
 * ticks of the host (kvmhv_nestedv2_flush_vcpu, gs_msg_ops_vcpu_fill_info and gs_msg_ops_vcpu_refresh_info in
 * arch/powerpc/kvm/book3s_hv_nestedv2.c).
 */

/** The state of a guest that the hypervisor below holds for all its vCPUs. */
export interface GuestBelow {
  timebaseOffset: bigint
}

/** The measured results of a run. */
export interface RunRules {
  /** The bits of LPCR that are kept. */
  readonly lpcrKept: bigint
  /** The bits of LPCR that are set besides. */
  readonly lpcrSet: bigint
  /** The value of ARCH_COMPAT if it was 0. */
  readonly ownPvr: bigint
}

/** The registers whose element of the interface has 32 bits. */
const cut = ['DAWRX', 'DAWRX1', 'WORT'] as const
const LOW_32 = 0xffff_ffffn

/** Access to the copies that the partition's kernel holds. */
interface Copies {
  read(name: RegisterName): bigint
  keep(name: RegisterName, value: bigint): void
}

/** The part of a vCPU that is below, and whether the kernel's copies are those that were sent. */
export class VcpuBelow {
  readonly #guest: GuestBelow
  readonly #rules: RunRules
  #offsetIsSent = false
  #expiryIsSent = false
  /** Whether the kernel's copy of DEC_EXPIRY is not older than the last run. */
  #expiryIsRead = true
  /** DEC_EXPIRY in ticks of the host. */
  #expiry = 0n

  constructor(guest: GuestBelow, rules: RunRules) {
    this.#guest = guest
    this.#rules = rules
  }

  /** The offset with which the guest reads its timebase once this vCPU runs. */
  offsetOnRun(own: bigint): bigint {
    return this.#offsetIsSent ? this.#guest.timebaseOffset : own
  }

  /** Notes that a register's copy was set. */
  noteSet(name: RegisterName): void {
    if (name === 'TB_OFFSET') this.#offsetIsSent = false
    if (name !== 'DEC_EXPIRY') return
    this.#expiryIsSent = false
    this.#expiryIsRead = true
  }

  /** Brings a copy up to date that is about to be read. The kernel's own offset is added, not the guest's. */
  refresh(name: RegisterName, copies: Copies): void {
    if (name !== 'DEC_EXPIRY' || this.#expiryIsRead) return
    this.#expiryIsRead = true
    copies.keep(name, BigInt.asUintN(64, this.#expiry + copies.read('TB_OFFSET')))
  }

  /** Enters the guest and leaves it. */
  run(copies: Copies): void {
    const own = copies.read('TB_OFFSET')
    if (!this.#offsetIsSent) this.#guest.timebaseOffset = own
    if (!this.#expiryIsSent) {
      this.#expiry = BigInt.asUintN(64, copies.read('DEC_EXPIRY') - own)
    }
    this.#offsetIsSent = true
    this.#expiryIsSent = true
    this.#expiryIsRead = false
    for (const name of cut) copies.keep(name, copies.read(name) & LOW_32)
    const { lpcrKept, lpcrSet, ownPvr } = this.#rules
    copies.keep('LPCR_64', (copies.read('LPCR_64') & lpcrKept) | lpcrSet)
    if (copies.read('ARCH_COMPAT') === 0n) copies.keep('ARCH_COMPAT', ownPvr)
  }
}
