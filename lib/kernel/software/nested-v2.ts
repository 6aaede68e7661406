import type { RegisterName } from '../../registers.ts'

/**
 * A model of how KVM in a partition hands registers to the hypervisor below by the PAPR interface ("nested v2").
 *
 * Setting a register changes the copy of the partition's kernel. When the vCPU next enters the guest, what was
 * set since the last time is sent below, and at the first time everything but ARCH_COMPAT. Afterwards most
 * registers are read back from below when they are next asked for. TB_OFFSET and ARCH_COMPAT are elements of the
 * whole guest there, so the one that was last sent holds for all vCPUs. Each vCPU keeps its own copy of TB_OFFSET,
 * but reads ARCH_COMPAT back. DEC_EXPIRY is held below in ticks of the host (kvmhv_nestedv2_host_create,
 * kvmhv_nestedv2_flush_vcpu, gs_msg_ops_vcpu_fill_info and gs_msg_ops_vcpu_refresh_info in
 * arch/powerpc/kvm/book3s_hv_nestedv2.c).
 */

/** The state of a guest that the hypervisor below holds for all its vCPUs. */
export interface GuestBelow {
  timebaseOffset: bigint
  /** ARCH_COMPAT as it was last sent; undefined before. */
  level: bigint | undefined
}

/** The measured results of a run. */
export interface RunRules {
  /** The bits of LPCR that are kept. */
  readonly lpcrKept: bigint
  /** The bits of LPCR that are set besides. */
  readonly lpcrSet: bigint
  /** The value of ARCH_COMPAT if none was sent: the processor's own PVR. */
  readonly ownPvr: bigint
  /** The value that is sent instead of an ARCH_COMPAT of 0: the logical PVR of the processor's level. */
  readonly ownLevel: bigint
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
  /** Whether ARCH_COMPAT was not written since the last run. */
  #levelIsSent = true
  /** Whether the kernel's copy of ARCH_COMPAT is not older than the last run. */
  #levelIsRead = true
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
    if (name === 'ARCH_COMPAT') {
      this.#levelIsSent = false
      this.#levelIsRead = true
    }
    if (name === 'DEC_EXPIRY') this.#expiryIsRead = true
  }

  /** Brings a copy up to date that is about to be read. The kernel's own offset is added, not the guest's. */
  refresh(name: RegisterName, copies: Copies): void {
    if (name === 'ARCH_COMPAT' && !this.#levelIsRead) {
      this.#levelIsRead = true
      copies.keep(name, this.#guest.level ?? this.#rules.ownPvr)
    }
    if (name === 'DEC_EXPIRY' && !this.#expiryIsRead) {
      this.#expiryIsRead = true
      copies.keep(name, BigInt.asUintN(64, this.#expiry + copies.read('TB_OFFSET')))
    }
  }

  /** Enters the guest and leaves it. */
  run(copies: Copies): void {
    const own = copies.read('TB_OFFSET')
    if (!this.#offsetIsSent) this.#guest.timebaseOffset = own
    // Of an expiry that was not set since the last run this gives the same, as setting TB_OFFSET reads it.
    this.#expiry = BigInt.asUintN(64, copies.read('DEC_EXPIRY') - own)
    this.#offsetIsSent = true
    this.#expiryIsRead = false
    if (!this.#levelIsSent) {
      const level = copies.read('ARCH_COMPAT')
      this.#guest.level = level === 0n ? this.#rules.ownLevel : level
    }
    this.#levelIsSent = true
    this.#levelIsRead = false
    for (const name of cut) copies.keep(name, copies.read(name) & LOW_32)
    const { lpcrKept, lpcrSet } = this.#rules
    copies.keep('LPCR_64', (copies.read('LPCR_64') & lpcrKept) | lpcrSet)
  }
}
