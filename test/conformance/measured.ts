import { registerNames, registers } from '../../lib/registers.ts'
import type { RegisterName } from '../../lib/registers.ts'

/**
 * What Linux 6.12 did with every register of a vCPU under KVM-HV on POWER9 (radix, no interrupt
 * controller, memory or capability set up), written down as it was seen.
 */

/** Written one after the other, as many low bits as the register has. */
export const patterns = [
  0xffff_ffff_ffff_ffff_ffff_ffff_ffff_ffffn,
  0x5555_5555_5555_5555_5555_5555_5555_5555n,
  0x0fed_cba9_8765_4321_1234_5678_9abc_def0n,
  1n,
  0n,
] as const

/** EINVAL on reading and on writing: BookE's, TM's, and those that no KVM for POWER9 has. */
export const absent: readonly RegisterName[] = [
  ...(['IAC1', 'IAC2', 'IAC3', 'IAC4', 'DAC1', 'DAC2'] as const),
  ...(['EPCR', 'EPR', 'OR_TSR', 'CLEAR_TSR', 'TCR', 'TSR'] as const),
  ...(['MAS0', 'MAS1', 'MAS2', 'MAS7_3', 'MAS4', 'MAS6', 'MMUCFG', 'EPTCFG'] as const),
  ...(['TLB0CFG', 'TLB1CFG', 'TLB2CFG', 'TLB3CFG'] as const),
  ...(['TLB0PS', 'TLB1PS', 'TLB2PS', 'TLB3PS'] as const),
  ...(['TFHAR', 'TFIAR', 'TEXASR', 'SPRG9', 'DBSR'] as const),
  ...registerNames.filter((name) => name.startsWith('TM_')),
]

/** ENXIO on reading and on writing: there is no interrupt controller. */
export const withoutDevice: readonly RegisterName[] = ['ICP_STATE', 'VP_STATE']

/** The 168 others can be read. */
export const readable: readonly RegisterName[] = registerNames.filter(
  (name) => !absent.includes(name) && !withoutDevice.includes(name),
)

/** What a new vCPU holds other than 0. */
export const initial: Partial<Record<RegisterName, bigint>> = {
  DEBUG_INST: 0x00dd_dd00n,
  LPCR: 0x0054_0413n,
  LPCR_64: 0x0040_0000_0054_0413n,
  MMCR0: 0x8000_0000n,
}

type Outcomes = readonly [
  bigint | string,
  bigint | string,
  bigint | string,
  bigint | string,
  bigint | string,
]

const onlyZero: Outcomes = ['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 0n]

/** What a register holds after each pattern, or the error that it gave; the others keep what they are given. */
export const special = {
  HIOR: onlyZero,
  VPA_ADDR: onlyZero,
  VPA_SLB: onlyZero,
  VPA_DTL: onlyZero,
  ARCH_COMPAT: onlyZero,
  DEBUG_INST: ['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL'],
  TB_OFFSET: [0n, 0x5555_5555_5600_0000n, 0x1234_5678_9b00_0000n, 0x0100_0000n, 0n],
  DPDES: [1n, 1n, 0n, 1n, 0n],
  DAWRX: [0xffff_ffff_ffff_fffbn, 0x5555_5555_5555_5551n, 0x1234_5678_9abc_def0n, 1n, 0n],
  DAWRX1: [0xffff_ffff_ffff_fffbn, 0x5555_5555_5555_5551n, 0x1234_5678_9abc_def0n, 1n, 0n],
  DABRX: [0xffff_fffbn, 0x5555_5551n, 0x9abc_def0n, 1n, 0n],
  CIABR: [0xffff_ffff_ffff_fffcn, 0x5555_5555_5555_5555n, 0x1234_5678_9abc_def0n, 1n, 0n],
  PID: [0xffff_ffffn, 0x5555_5555n, 0x9abc_def0n, 1n, 0n],
  LPCR: [0x03d6_0413n, 0x0054_0413n, 0x0254_0413n, 0x0054_0413n, 0x0054_0413n],
  LPCR_64: [
    0x0070_0000_03d6_0413n,
    0x0050_0000_0054_0413n,
    0x0030_0000_0254_0413n,
    0x0000_0000_0054_0413n,
    0x0000_0000_0054_0413n,
  ],
  PSSCR: [0xf000_0000_0000_03ffn, 0x5000_0000_0000_0155n, 0x1000_0000_0000_02f0n, 1n, 0n],
} as const satisfies Partial<Record<RegisterName, Outcomes>>

/** What a register that keeps every bit holds after each pattern. */
export function kept(name: RegisterName): readonly bigint[] {
  return patterns.map((pattern) => BigInt.asUintN(registers[name].width, pattern))
}
