// The ids are those of arch/powerpc/include/uapi/asm/kvm.h, checked up to Linux 6.12 by
// `npm run check -- registers <header>`. Every id is above 2^53: a number would lose its low bits.

const KVM_REG_PPC = 0x1000000000000000n
const KVM_REG_SIZE_SHIFT = 52n
const KVM_REG_SIZE_BITS = 0xfn
const TM = 0x80000000n

/**
 * The width of a register's value in bits, as its id says.
 *
 * @group Registers
 */
export type RegisterWidth = 32 | 64 | 128

/**
 * One register of KVM_GET_ONE_REG and KVM_SET_ONE_REG.
 *
 * @group Registers
 */
export interface Register<W extends RegisterWidth = RegisterWidth> {
  /**
   * The whole 64-bit id: architecture, size and index. Only the whole is unique: MAS0 and ICP_STATE
   * have the same index. Source: Linux arch/powerpc/include/uapi/asm/kvm.h.
   */
  readonly id: bigint
  /** The width of the value in bits, the same as the size bits of the id. */
  readonly width: W
  /** What the register holds, in one line; in brackets, what limits its use. */
  readonly meaning: string
}

/**
 * Every register that Linux defines for POWER guests, by the kernel's name without `KVM_REG_PPC_`.
 * A kernel has only those of its processor and its kind of KVM. `BookE` means the embedded processors, `TM`
 * transactional memory, `PR` KVM without hypervisor mode.
 *
 * Source: Linux arch/powerpc/include/uapi/asm/kvm.h and Documentation/virt/kvm/api.rst
 * (KVM_SET_ONE_REG).
 *
 * @group Registers
 */
export const registers = Object.freeze({
  // State that the guest's interrupt controller keeps for each vCPU
  ICP_STATE: u64(0x8cn, 'XICS presentation: CPPR, XISR, MFRR and pending priority'),
  VP_STATE: u128(0x8dn, 'XIVE virtual processor state (POWER9 on)'),

  HIOR: u64(0x1n, 'Hypervisor Interrupt Offset Register (PR; with HV always 0)'),
  IAC1: u64(0x2n, 'Instruction Address Compare 1 (BookE)'),
  IAC2: u64(0x3n, 'Instruction Address Compare 2 (BookE)'),
  IAC3: u64(0x4n, 'Instruction Address Compare 3 (BookE)'),
  IAC4: u64(0x5n, 'Instruction Address Compare 4 (BookE)'),
  DAC1: u64(0x6n, 'Data Address Compare 1 (BookE)'),
  DAC2: u64(0x7n, 'Data Address Compare 2 (BookE)'),
  DABR: u64(0x8n, 'Data Address Breakpoint Register (before POWER8)'),
  DSCR: u64(0x9n, 'Data Stream Control Register'),
  PURR: u64(0xan, 'Processor Utilization of Resources Register'),
  SPURR: u64(0xbn, 'Scaled Processor Utilization of Resources Register'),
  DAR: u64(0xcn, 'Data Address Register'),
  DSISR: u32(0xdn, 'Data Storage Interrupt Status Register'),
  AMR: u64(0xen, 'Authority Mask Register'),
  UAMOR: u64(0xfn, 'User Authority Mask Override Register'),

  // Performance monitor
  MMCR0: u64(0x10n, 'Monitor Mode Control Register 0'),
  MMCR1: u64(0x11n, 'Monitor Mode Control Register 1'),
  MMCRA: u64(0x12n, 'Monitor Mode Control Register A'),
  MMCR2: u64(0x13n, 'Monitor Mode Control Register 2 (POWER8 on)'),
  MMCRS: u64(0x14n, 'Supervisor Monitor Mode Control Register (POWER8)'),
  SIAR: u64(0x15n, 'Sampled Instruction Address Register'),
  SDAR: u64(0x16n, 'Sampled Data Address Register'),
  SIER: u64(0x17n, 'Sampled Instruction Event Register (POWER8 on)'),
  PMC1: u32(0x18n, 'Performance Monitor Counter 1'),
  PMC2: u32(0x19n, 'Performance Monitor Counter 2'),
  PMC3: u32(0x1an, 'Performance Monitor Counter 3'),
  PMC4: u32(0x1bn, 'Performance Monitor Counter 4'),
  PMC5: u32(0x1cn, 'Performance Monitor Counter 5'),
  PMC6: u32(0x1dn, 'Performance Monitor Counter 6'),
  PMC7: u32(0x1en, 'Performance Monitor Counter 7 (PowerPC 970)'),
  PMC8: u32(0x1fn, 'Performance Monitor Counter 8 (PowerPC 970)'),

  // Floating point and vectors. FPRn is the high half of VSRn; VSX registers 32 to 63 are VRn.
  ...family('FPR', 32, u64(0x20n, 'Floating-point register')),
  ...family('VR', 32, u128(0x40n, 'Vector register (Altivec)')),
  ...family('VSR', 32, u128(0x60n, 'Vector-scalar register (VSX)')),
  FPSCR: u64(0x80n, 'Floating-Point Status and Control Register'),
  VSCR: u32(0x81n, 'Vector Status and Control Register'),

  // Memory that the guest shares with its hypervisor (PAPR)
  VPA_ADDR: u64(0x82n, 'Virtual processor area: guest address, 0 for none'),
  VPA_SLB: u128(0x83n, 'SLB shadow buffer: guest address, then length in bytes, 64 bits each'),
  VPA_DTL: u128(0x84n, 'Dispatch trace log: guest address, then length in bytes, 64 bits each'),

  EPCR: u32(0x85n, 'Embedded Processor Control Register (BookE)'),
  EPR: u32(0x86n, 'External Proxy Register (BookE)'),
  OR_TSR: u32(0x87n, 'Bits to set in the Timer Status Register (BookE, write only)'),
  CLEAR_TSR: u32(0x88n, 'Bits to clear in the Timer Status Register (BookE, write only)'),
  TCR: u32(0x89n, 'Timer Control Register (BookE)'),
  TSR: u32(0x8an, 'Timer Status Register (BookE)'),
  DEBUG_INST: u32(0x8bn, 'Instruction that a debugger writes as a breakpoint (read only)'),

  // The MMU of BookE
  MAS0: u32(0x8cn, 'MMU Assist Register 0 (BookE)'),
  MAS1: u32(0x8dn, 'MMU Assist Register 1 (BookE)'),
  MAS2: u64(0x8en, 'MMU Assist Register 2 (BookE)'),
  MAS7_3: u64(0x8fn, 'MMU Assist Registers 7, the upper half, and 3, the lower (BookE)'),
  MAS4: u32(0x90n, 'MMU Assist Register 4 (BookE)'),
  MAS6: u32(0x91n, 'MMU Assist Register 6 (BookE)'),
  MMUCFG: u32(0x92n, 'MMU Configuration Register (BookE)'),
  TLB0CFG: u32(0x93n, 'TLB 0 Configuration Register (BookE)'),
  TLB1CFG: u32(0x94n, 'TLB 1 Configuration Register (BookE)'),
  TLB2CFG: u32(0x95n, 'TLB 2 Configuration Register (BookE)'),
  TLB3CFG: u32(0x96n, 'TLB 3 Configuration Register (BookE)'),
  TLB0PS: u32(0x97n, 'TLB 0 Page Size Register (BookE)'),
  TLB1PS: u32(0x98n, 'TLB 1 Page Size Register (BookE)'),
  TLB2PS: u32(0x99n, 'TLB 2 Page Size Register (BookE)'),
  TLB3PS: u32(0x9an, 'TLB 3 Page Size Register (BookE)'),
  EPTCFG: u32(0x9bn, 'Embedded Page Table Configuration Register (BookE)'),

  TB_OFFSET: u64(0x9cn, 'Guest minus host timebase, ticks; a set rounds up to a multiple of 2^24'),

  // POWER8 brought these. Linux describes three of them by nothing but their number.
  SPMC1: u32(0x9dn, 'Supervisor Performance Monitor Counter 1 (POWER8)'),
  SPMC2: u32(0x9en, 'Supervisor Performance Monitor Counter 2 (POWER8)'),
  IAMR: u64(0x9fn, 'Instruction Authority Mask Register (POWER8 on)'),
  TFHAR: u64(0xa0n, 'Transaction Failure Handler Address Register (TM)'),
  TFIAR: u64(0xa1n, 'Transaction Failure Instruction Address Register (TM)'),
  TEXASR: u64(0xa2n, 'Transaction Exception and Summary Register (TM)'),
  FSCR: u64(0xa3n, 'Facility Status and Control Register (POWER8 on)'),
  PSPB: u32(0xa4n, 'Problem State Priority Boost Register (POWER8 on)'),
  EBBHR: u64(0xa5n, 'Event-Based Branch Handler Register (POWER8 on)'),
  EBBRR: u64(0xa6n, 'Event-Based Branch Return Register (POWER8 on)'),
  BESCR: u64(0xa7n, 'Branch Event Status and Control Register (POWER8 on)'),
  TAR: u64(0xa8n, 'Target Address Register (POWER8 on)'),
  DPDES: u64(0xa9n, 'Directed Privileged Doorbell Exception State (POWER8 on)'),
  DAWR: u64(0xaan, 'Data Address Watchpoint Register 0 (POWER8 on)'),
  DAWRX: u64(0xabn, 'Data Address Watchpoint Register Extension 0 (POWER8 on)'),
  CIABR: u64(0xacn, 'Completed Instruction Address Breakpoint Register (POWER8 on)'),
  IC: u64(0xadn, 'Instruction Counter (POWER8 on)'),
  VTB: u64(0xaen, 'Virtual Time Base, ticks while the guest ran (POWER8 on)'),
  CSIGR: u64(0xafn, 'Special-purpose register 890 (POWER8)'),
  TACR: u64(0xb0n, 'Special-purpose register 888 (POWER8)'),
  TCSCR: u64(0xb1n, 'Special-purpose register 889 (POWER8)'),
  PID: u64(0xb2n, 'Process Identification Register (POWER8 on)'),
  ACOP: u64(0xb3n, 'Available Coprocessor Register (before POWER9)'),

  VRSAVE: u32(0xb4n, 'Vector Save Register'),
  LPCR: u32(0xb5n, 'Logical Partitioning Control Register, lower half; a set keeps the upper'),
  LPCR_64: u64(0xb5n, 'Logical Partitioning Control Register, all of it'),
  PPR: u64(0xb6n, 'Program Priority Register'),
  ARCH_COMPAT: u32(0xb7n, 'Logical PVR of the level the guest is held to, 0 for none'),
  DABRX: u32(0xb8n, 'Data Address Breakpoint Register Extension (before POWER8)'),
  WORT: u64(0xb9n, 'Workload Optimization Register of the thread'),
  SPRG9: u64(0xban, 'Special-purpose Register General 9 (BookE)'),
  DBSR: u32(0xbbn, 'Debug Status Register (BookE)'),

  TIDR: u64(0xbcn, 'Thread Identification Register (POWER9)'),
  PSSCR: u64(0xbdn, 'Processor Stop Status and Control Register (POWER9 on)'),
  DEC_EXPIRY: u64(0xben, 'Guest timebase at which the decrementer expires, ticks (Linux 4.16 on)'),
  ONLINE: u32(0xbfn, '1 while the guest has this vCPU online, 0 while offline (Linux 4.18 on)'),
  PTCR: u64(0xc0n, 'Partition Table Control Register of a guest with guests (POWER9 on)'),

  MMCR3: u64(0xc1n, 'Monitor Mode Control Register 3 (POWER10 on)'),
  SIER2: u64(0xc2n, 'Sampled Instruction Event Register 2 (POWER10 on)'),
  SIER3: u64(0xc3n, 'Sampled Instruction Event Register 3 (POWER10 on)'),
  DAWR1: u64(0xc4n, 'Data Address Watchpoint Register 1 (POWER10 on)'),
  DAWRX1: u64(0xc5n, 'Data Address Watchpoint Register Extension 1 (POWER10 on)'),
  DEXCR: u64(0xc6n, 'Dynamic Execution Control Register (POWER10 on)'),
  HASHKEYR: u64(0xc7n, 'Hash Key Register (POWER10 on)'),
  HASHPKEYR: u64(0xc8n, 'Hash Privileged Key Register (POWER10 on)'),

  // What a transaction goes back to if it fails. TM_VSR32 to TM_VSR63 are the vector registers.
  ...family('TM_GPR', 32, u64(TM | 0x0n, 'TM checkpoint: general-purpose register')),
  ...family('TM_VSR', 64, u128(TM | 0x20n, 'TM checkpoint: vector-scalar register')),
  TM_CR: u64(TM | 0x60n, 'TM checkpoint: Condition Register'),
  TM_LR: u64(TM | 0x61n, 'TM checkpoint: Link Register'),
  TM_CTR: u64(TM | 0x62n, 'TM checkpoint: Count Register'),
  TM_FPSCR: u64(TM | 0x63n, 'TM checkpoint: Floating-Point Status and Control Register'),
  TM_AMR: u64(TM | 0x64n, 'TM checkpoint: Authority Mask Register'),
  TM_PPR: u64(TM | 0x65n, 'TM checkpoint: Program Priority Register'),
  TM_VRSAVE: u64(TM | 0x66n, 'TM checkpoint: Vector Save Register'),
  TM_VSCR: u32(TM | 0x67n, 'TM checkpoint: Vector Status and Control Register'),
  TM_DSCR: u64(TM | 0x68n, 'TM checkpoint: Data Stream Control Register'),
  TM_TAR: u64(TM | 0x69n, 'TM checkpoint: Target Address Register'),
  TM_XER: u64(TM | 0x6an, 'TM checkpoint: Fixed-Point Exception Register'),
})

/**
 * The name of a register: the kernel's without `KVM_REG_PPC_`.
 *
 * @group Registers
 */
export type RegisterName = keyof typeof registers

/**
 * The value of a register: 32 bits are a `number`, 64 bits a `bigint`, both unsigned; 128 bits are
 * a `Uint8Array` of 16 bytes in the kernel's memory order.
 *
 * @group Registers
 */
export type RegisterValue<N extends RegisterName> = ValueOfWidth[(typeof registers)[N]['width']]

/**
 * Values of some registers, by name.
 *
 * @group Registers
 */
export type RegisterValues = { [N in RegisterName]?: RegisterValue<N> }

/** The names of all registers, in the order of the table, which is that of the kernel's header. */
export const registerNames: readonly RegisterName[] = Object.freeze(
  Object.keys(registers) as RegisterName[],
)

/**
 * The number of bytes that the kernel copies for an id: 2 to the power of the id's size bits.
 * The bits allow up to 2^15; the kernel defines 1 to 256. The id need not be in the table.
 *
 * Source: KVM_REG_SIZE_SHIFT and KVM_REG_SIZE_MASK in Linux include/uapi/linux/kvm.h.
 */
export function registerSize(id: bigint): number {
  return 1 << Number((id >> KVM_REG_SIZE_SHIFT) & KVM_REG_SIZE_BITS)
}

interface ValueOfWidth {
  32: number
  64: bigint
  128: Uint8Array
}

type IndexBelow<N extends number, Found extends number[] = []> = Found['length'] extends N
  ? Found[number]
  : IndexBelow<N, [...Found, Found['length']]>

type Family<Prefix extends string, Count extends number, W extends RegisterWidth> = Readonly<
  Record<`${Prefix}${IndexBelow<Count>}`, Register<W>>
>

function u32(index: bigint, meaning: string): Register<32> {
  return register(KVM_REG_PPC | (2n << KVM_REG_SIZE_SHIFT) | index, 32, meaning)
}

function u64(index: bigint, meaning: string): Register<64> {
  return register(KVM_REG_PPC | (3n << KVM_REG_SIZE_SHIFT) | index, 64, meaning)
}

function u128(index: bigint, meaning: string): Register<128> {
  return register(KVM_REG_PPC | (4n << KVM_REG_SIZE_SHIFT) | index, 128, meaning)
}

/** The registers `prefix`0 to `prefix`(count - 1), with the ids that follow the first one's. */
function family<Prefix extends string, Count extends number, W extends RegisterWidth>(
  prefix: Prefix,
  count: Count,
  first: Register<W>,
): Family<Prefix, Count, W> {
  const members = Array.from({ length: count }, (_, n) => [
    `${prefix}${n}`,
    register(first.id + BigInt(n), first.width, `${first.meaning} ${n}`),
  ])
  return Object.fromEntries(members) as Family<Prefix, Count, W>
}

function register<W extends RegisterWidth>(id: bigint, width: W, meaning: string): Register<W> {
  return Object.freeze({ id, width, meaning })
}
