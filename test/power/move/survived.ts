import type {
  OneRegOutcome,
  OneRegState,
  RegisterName,
  RegisterValue,
  Vcpu,
} from '../../../lib/index.ts'

type Value = RegisterValue<RegisterName>

/**
 * Registers that the watching guest does not touch, and so must have after every move what {@link mark} wrote: of each
 * width, and of the units that KVM switches together with a vCPU.
 */
const marked = ['DAR', 'DSISR', 'VRSAVE', 'FPR3', 'VSR5', 'VR7', 'AMR', 'TAR'] as const

/** Writes a value of its own into each of these registers. */
export function mark(vcpu: Vcpu): void {
  const id = BigInt(vcpu.id)
  const bytes = (first: number) => Uint8Array.from({ length: 16 }, (_, at) => first + at + vcpu.id)
  vcpu.write({
    DAR: 0x1000n + id,
    DSISR: 0x4000_0000 + vcpu.id,
    VRSAVE: 0xff00 + vcpu.id,
    FPR3: 0x4009_21fb_5444_2d18n + id,
    VSR5: bytes(16),
    VR7: bytes(64),
    AMR: 0n,
    TAR: 0x2000n + id * 4n,
  })
}

/** The marked registers of all vCPUs as one text, to compare. */
export function marks(vcpus: readonly Vcpu[]): string {
  const held = vcpus.map((vcpu) => Object.entries(vcpu.read(marked)))
  return JSON.stringify(held, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
}

/** The bits that belong to the guest, of registers in which the host has bits of its own. */
const guestsBits: Readonly<Partial<Record<RegisterName, bigint>>> = {
  // DPFD, ILE, AIL, LD and TC: KVM lets user space change no others (kvmppc_set_lpcr in arch/powerpc/kvm/book3s_hv.c).
  // Nested v2 returns the register as the hypervisor has it, without PECEDH and HVICE under QEMU.
  LPCR: 0x0382_0200n,
  LPCR_64: 0x0070_0000_0382_0200n,
  // PSSCR_GUEST_VIS (asm/reg.h), to which KVM_SET_ONE_REG limits it. KVM_GET_ONE_REG has all bits.
  PSSCR: 0xf000_0000_0000_03ffn,
}

/**
 * The values with which nested v2 answers for ARCH_COMPAT once a guest without a compatible mode has run, on POWER10
 * and POWER11: the processor's own PVR, or the logical PVR of its level if 0 was written before the run
 * (gs_msg_ops_vcpu_fill_info in arch/powerpc/kvm/book3s_hv_nestedv2.c). They mean the same as 0. No kernel takes the
 * former, since it is not a logical PVR (kvmppc_set_arch_compat in book3s_hv.c).
 */
const noMode: ReadonlySet<unknown> = new Set([0x0080_1200, 0x0082_1200, 0x0f00_0006, 0x0f00_0007])

/** The part of a register's value that has to be the same on both hosts. */
function guestsPart(name: RegisterName, value: Value | undefined): string {
  if (value === undefined) return 'none'
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (name === 'ARCH_COMPAT' && noMode.has(value)) return '0'
  return (BigInt(value) & (guestsBits[name] ?? ~0n)).toString()
}

/** The registers that do not hold the guest's part of what was saved, such as `vCPU 0: DAR`, after a load. */
export function notHeld(state: OneRegState, { vcpus }: OneRegOutcome): string[] {
  return vcpus.flatMap(({ id, refused, changed = [] }) => {
    const saved = state.vcpus.find((vcpu) => vcpu.id === id)?.registers ?? {}
    const lost = [
      // A refused one stays as it is on a new vCPU.
      ...refused.filter(({ register }) => guestsPart(register, saved[register]) !== '0'),
      ...changed.filter(
        ({ register, wanted, held }) => guestsPart(register, wanted) !== guestsPart(register, held),
      ),
    ]
    return lost.map(({ register }) => `vCPU ${id}: ${register}`)
  })
}

/**
 * The registers in which the guest's parts of two states of it differ, such as `DAR from 1 to 2`.
 *
 * PSSCR is left out. After a run the kernel reads it by SPR 823 (SPRN_PSSCR_PR in arch/powerpc/kvm/book3s_hv.c), and
 * QEMU does not have that SPR (target/ppc/cpu.h): its value is then that of a general register.
 */
export function differing(one: OneRegState, other: OneRegState): string[] {
  const changes = one.vcpus.flatMap(({ id, registers }) => {
    const there = other.vcpus.find((vcpu) => vcpu.id === id)?.registers ?? {}
    const all = Object.keys({ ...registers, ...there }) as RegisterName[]
    const names = all.filter((name) => name !== 'PSSCR')
    return names.flatMap((name) => {
      const [from, to] = [guestsPart(name, registers[name]), guestsPart(name, there[name])]
      return from === to ? [] : [`${name} from ${from} to ${to}`]
    })
  })
  return [...new Set(changes)]
}
