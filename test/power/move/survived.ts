import type { OneRegOutcome, OneRegState, RegisterName, Vcpu } from '../../../lib/index.ts'

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

/**
 * Between two hosts of one kind. The kernel gives PSSCR with bits of the hypervisor, and takes only the guest's: see
 * docs/registers.md.
 */
const mayDiffer: ReadonlySet<RegisterName> = new Set<RegisterName>(['PSSCR'])

/** The other registers of a load that do not hold what was saved, such as `vCPU 0: LPCR_64`. */
export function notHeld(vcpus: OneRegOutcome['vcpus']): string[] {
  return vcpus.flatMap(({ id, refused, changed = [] }) =>
    [...refused, ...changed]
      .filter(({ register }) => !mayDiffer.has(register))
      .map(({ register }) => `vCPU ${id}: ${register}`),
  )
}

/** The registers that differ between two states of a guest. */
export function differing(one: OneRegState, other: OneRegState): RegisterName[] {
  const names = one.vcpus.flatMap(({ id, registers }) => {
    const there = other.vcpus.find((vcpu) => vcpu.id === id)?.registers ?? {}
    const all = Object.keys({ ...registers, ...there }) as RegisterName[]
    return all.filter((name) => text(registers[name]) !== text(there[name]))
  })
  return [...new Set(names)]
}

function text(value: bigint | number | Uint8Array | undefined): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value)
}
