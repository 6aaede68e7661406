import { errnos } from '../../errno.ts'
import { registers } from '../../registers.ts'
import type { Register, RegisterName } from '../../registers.ts'
import type { MachineRules } from './machine.ts'
import { VcpuBelow } from './nested-v2.ts'
import type { GuestBelow } from './nested-v2.ts'

/**
 * A model of how KVM-HV keeps the registers of a vCPU: which registers exist, their initial values, and
 * which values a write refuses or changes. The kernel's own code is in arch/powerpc/kvm/book3s_hv.c
 * (kvmppc_get_one_reg_hv, kvmppc_set_one_reg_hv, set_vpa, kvmppc_set_lpcr) and powerpc.c
 * (kvm_vcpu_ioctl_set_one_reg).
 */

const TIMEBASE_OFFSET_STEP = 1n << 24n
const CACHE_LINE = 128n
const DISPATCH_LOG_ENTRY = 48n

/** Registers of an interrupt controller. The model does not have one, so they give ENXIO. */
const deviceless: ReadonlySet<RegisterName> = new Set(['ICP_STATE', 'VP_STATE'])

const LPCR_AIL = 0x0180_0000n
const LOW_HALF = 0xffff_ffff_ffff_ffffn

const byId = new Map<bigint, { name: RegisterName; register: Register }>(
  Object.entries(registers).map(([name, register]) => [
    register.id,
    { name: name as RegisterName, register },
  ]),
)

/** A VM: the ids of its vCPUs, the registers that they all share, and those that each virtual core shares. */
export interface SoftwareVm {
  readonly vcpuIds: Set<number>
  readonly values: Map<RegisterName, bigint>
  readonly cores: Map<number, Map<RegisterName, bigint>>
  /** The state that a hypervisor below holds for the guest: nested v2. */
  readonly below: GuestBelow
}

/** The registers that the VM holds (kvm->arch in the kernel). */
const ofVm: ReadonlySet<RegisterName> = new Set(['PTCR'])

/** The registers that the virtual core holds (struct kvmppc_vcore). */
const ofCore: ReadonlySet<RegisterName> = new Set(['TB_OFFSET', 'VTB', 'LPCR_64', 'ARCH_COMPAT'])

export class SoftwareVcpu {
  readonly id: number
  readonly #vm: SoftwareVm
  readonly #core: Map<RegisterName, bigint>
  readonly #timebase: () => bigint
  readonly #rules: MachineRules
  readonly #values = new Map<RegisterName, bigint>()
  readonly #below: VcpuBelow | undefined
  readonly #copies = {
    read: (name: RegisterName): bigint => this.#held(name),
    keep: (name: RegisterName, value: bigint): void => {
      this.#home(name).set(name, value)
    },
  }

  constructor(
    id: number,
    core: number,
    vm: SoftwareVm,
    timebase: () => bigint,
    rules: MachineRules,
  ) {
    this.id = id
    this.#vm = vm
    this.#core = vm.cores.get(core) ?? new Map<RegisterName, bigint>()
    vm.cores.set(core, this.#core)
    this.#timebase = timebase
    this.#rules = rules
    if (rules.run !== undefined) this.#below = new VcpuBelow(vm.below, rules.run)
  }

  /** Enters the guest and leaves it. Only nested v2 has registers that change by this. */
  run(): void {
    this.#below?.run(this.#copies)
  }

  /** The offset with which the guest reads its timebase once this vCPU runs. */
  get offsetOnRun(): bigint {
    const own = this.#held('TB_OFFSET')
    return this.#below?.offsetOnRun(own) ?? own
  }

  /** The register's value, or `-errno`. */
  get(id: bigint): bigint {
    const name = this.#find(id)
    return typeof name === 'number' ? BigInt(name) : this.#read(name)
  }

  /** 0 or `-errno`. */
  set(id: bigint, value: bigint): number {
    const name = this.#find(id)
    return typeof name === 'number' ? name : this.#write(name, value)
  }

  #find(id: bigint): RegisterName | number {
    const name = byId.get(id)?.name
    if (name === undefined || this.#rules.missing.has(name)) return -errnos.EINVAL
    if (deviceless.has(name)) return -errnos.ENXIO
    return name
  }

  #read(name: RegisterName): bigint {
    if (name === 'LPCR') return this.#read('LPCR_64') & 0xffff_ffffn
    const vsr = vsrOf(name)
    if (vsr !== undefined) return this.#read(vsr) >> 64n
    this.#below?.refresh(name, this.#copies)
    return this.#held(name)
  }

  #held(name: RegisterName): bigint {
    return this.#home(name).get(name) ?? this.#rules.initial[name] ?? 0n
  }

  #write(name: RegisterName, value: bigint): number {
    if (this.#rules.permitted[name]?.includes(value) === false) return -errnos.EINVAL
    const vsr = vsrOf(name)
    if (vsr !== undefined) return this.#writeFpr(vsr, value)
    switch (name) {
      case 'TB_OFFSET':
        return this.#writeTimebaseOffset(value)
      case 'LPCR':
        return this.#writeLpcr(value, this.#rules.lpcrWritable & 0xffff_ffffn)
      case 'LPCR_64':
        return this.#writeLpcr(value, this.#rules.lpcrWritable)
      case 'ARCH_COMPAT':
        return this.#writeArchCompat(value)
      case 'VPA_ADDR':
        return this.#writeVpa(value)
      case 'VPA_SLB':
        return this.#writeArea(name, value & LOW_HALF, value >> 64n)
      case 'VPA_DTL':
        return this.#writeDispatchLog(value & LOW_HALF, value >> 64n)
      case 'CIABR':
        // 3 would be hypervisor privilege, for which the kernel clears both bits.
        return this.#keep(name, (value & 3n) === 3n ? value & ~3n : value)
      default:
        return this.#keep(name, value & (this.#rules.writable[name] ?? ~0n))
    }
  }

  #keep(name: RegisterName, value: bigint): number {
    this.#copies.keep(name, value)
    this.#below?.noteSet(name)
    return 0
  }

  #home(name: RegisterName): Map<RegisterName, bigint> {
    if (ofVm.has(name)) return this.#vm.values
    return ofCore.has(name) ? this.#core : this.#values
  }

  #writeFpr(vsr: RegisterName, value: bigint): number {
    return this.#keep(vsr, (value << 64n) | (this.#read(vsr) & LOW_HALF))
  }

  /**
   * Rounds up to a whole step (Linux 93b0f4dc29c5). Setting an offset also sets a DEC_EXPIRY that is still 0
   * (0a5bfb824a6e).
   */
  #writeTimebaseOffset(value: bigint): number {
    const offset = BigInt.asUintN(
      64,
      (value + TIMEBASE_OFFSET_STEP - 1n) & ~(TIMEBASE_OFFSET_STEP - 1n),
    )
    this.#keep('TB_OFFSET', offset)
    if (this.#read('DEC_EXPIRY') === 0n && offset !== 0n) {
      this.#keep('DEC_EXPIRY', BigInt.asUintN(64, this.#timebase() + offset))
    }
    return 0
  }

  #writeLpcr(value: bigint, mask: bigint): number {
    // Only the values 0 and 3 exist for AIL, the alternate interrupt location.
    const wanted = (value & LPCR_AIL) === LPCR_AIL ? value : value & ~LPCR_AIL
    return this.#keep('LPCR_64', (this.#read('LPCR_64') & ~mask) | (wanted & mask))
  }

  #writeArchCompat(value: bigint): number {
    const { modes, result } = this.#rules.archCompat
    const mode = modes.get(value)
    if (mode === undefined) return -errnos.EINVAL
    this.#keep('ARCH_COMPAT', mode)
    return result
  }

  #writeVpa(address: bigint): number {
    const inUse = this.#read('VPA_SLB') !== 0n || this.#read('VPA_DTL') !== 0n
    if (address === 0n && inUse) return -errnos.EINVAL
    if (address % CACHE_LINE !== 0n) return -errnos.EINVAL
    return this.#keep('VPA_ADDR', address)
  }

  #writeArea(name: 'VPA_SLB' | 'VPA_DTL', address: bigint, length: bigint): number {
    if (address !== 0n && this.#read('VPA_ADDR') === 0n) return -errnos.EINVAL
    if (address % CACHE_LINE !== 0n) return -errnos.EINVAL
    return this.#keep(name, address === 0n ? 0n : address | (length << 64n))
  }

  #writeDispatchLog(address: bigint, length: bigint): number {
    if (address !== 0n && length < DISPATCH_LOG_ENTRY) return -errnos.EINVAL
    return this.#writeArea('VPA_DTL', address, length - (length % DISPATCH_LOG_ENTRY))
  }
}

/** The vector-scalar register whose high half a floating-point register is: the one with the same number. */
function vsrOf(name: RegisterName): RegisterName | undefined {
  return name.startsWith('FPR') ? (`VSR${name.slice(3)}` as RegisterName) : undefined
}
