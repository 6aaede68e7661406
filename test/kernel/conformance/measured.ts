import { registerNames, registers } from '../../../lib/registers.ts'
import type { RegisterName } from '../../../lib/registers.ts'
import type { ModelledLinux, ModelledMachine } from '../../../lib/kernel/software/machine.ts'

/**
 * The measured behaviour of Linux for every register of a vCPU under KVM-HV (without an interrupt controller,
 * memory or capabilities), on each machine and version.
 */

/** A kernel's version and the host that it runs on. */
export interface Kind {
  readonly linux: ModelledLinux
  readonly machine: ModelledMachine
}

/** The values that are written one after the other. A register gets as many low bits as it has. */
export const patterns = [
  0xffff_ffff_ffff_ffff_ffff_ffff_ffff_ffffn,
  0x5555_5555_5555_5555_5555_5555_5555_5555n,
  0x0fed_cba9_8765_4321_1234_5678_9abc_def0n,
  1n,
  0n,
] as const

/** Registers that give EINVAL on all machines: those of BookE, of TM, and others that none of these KVMs has. */
const absentEverywhere: readonly RegisterName[] = [
  ...(['IAC1', 'IAC2', 'IAC3', 'IAC4', 'DAC1', 'DAC2'] as const),
  ...(['EPCR', 'EPR', 'OR_TSR', 'CLEAR_TSR', 'TCR', 'TSR'] as const),
  ...(['MAS0', 'MAS1', 'MAS2', 'MAS7_3', 'MAS4', 'MAS6', 'MMUCFG', 'EPTCFG'] as const),
  ...(['TLB0CFG', 'TLB1CFG', 'TLB2CFG', 'TLB3CFG'] as const),
  ...(['TLB0PS', 'TLB1PS', 'TLB2PS', 'TLB3PS'] as const),
  ...(['TFHAR', 'TFIAR', 'TEXASR', 'SPRG9', 'DBSR'] as const),
  ...registerNames.filter((name) => name.startsWith('TM_')),
]

/** Registers that give ENXIO, because there is no interrupt controller. */
export const withoutDevice: readonly RegisterName[] = ['ICP_STATE', 'VP_STATE']

type Outcomes = readonly [
  bigint | string,
  bigint | string,
  bigint | string,
  bigint | string,
  bigint | string,
]

export interface Measured {
  /** The error of creating a vCPU whose id the VM has already. */
  readonly idTaken: 'EINVAL' | 'EEXIST'
  /** The registers that give EINVAL on reading and on writing. */
  readonly absent: readonly RegisterName[]
  /** The registers that can be read: all others except those of {@link withoutDevice}. */
  readonly readable: readonly RegisterName[]
  /** The initial values that are not 0. */
  readonly initial: Partial<Record<RegisterName, bigint>>
  /** The value of a register after writing each pattern, or the error. Registers that are not listed keep every bit. */
  readonly special: Partial<Record<RegisterName, Outcomes>>
  /** The lower half of LPCR after 0 was written. */
  readonly lpcr: bigint
  /** The upper half of LPCR_64 then. */
  readonly lpcrHigh: bigint
  /** The bits of LPCR_64 that can be set one by one. */
  readonly lpcrBits: readonly number[]
  /** Whether alternate interrupt location 3, which has two bits, can be set. */
  readonly ail3: boolean
  /** The value of ARCH_COMPAT after writing each 0x0f00000n that it accepts, by n. */
  readonly archCompat: Readonly<Partial<Record<number, bigint>>>
  /** Whether writing ARCH_COMPAT gives EINVAL even if the value is stored. */
  readonly archCompatLies: boolean
}

const onlyZero: Outcomes = ['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 0n]
const nothing: Outcomes = ['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']

const specialEverywhere: Measured['special'] = {
  HIOR: onlyZero,
  VPA_ADDR: onlyZero,
  VPA_SLB: onlyZero,
  VPA_DTL: onlyZero,
  ARCH_COMPAT: onlyZero,
  DEBUG_INST: nothing,
  TB_OFFSET: [0n, 0x5555_5555_5600_0000n, 0x1234_5678_9b00_0000n, 0x0100_0000n, 0n],
  DAWRX: [0xffff_ffff_ffff_fffbn, 0x5555_5555_5555_5551n, 0x1234_5678_9abc_def0n, 1n, 0n],
  DAWRX1: [0xffff_ffff_ffff_fffbn, 0x5555_5555_5555_5551n, 0x1234_5678_9abc_def0n, 1n, 0n],
  DABRX: [0xffff_fffbn, 0x5555_5551n, 0x9abc_def0n, 1n, 0n],
  CIABR: [0xffff_ffff_ffff_fffcn, 0x5555_5555_5555_5555n, 0x1234_5678_9abc_def0n, 1n, 0n],
  PID: [0xffff_ffffn, 0x5555_5555n, 0x9abc_def0n, 1n, 0n],
  PSSCR: [0xf000_0000_0000_03ffn, 0x5000_0000_0000_0155n, 0x1000_0000_0000_02f0n, 1n, 0n],
}

const dpdesOfOneThread: Outcomes = [1n, 1n, 0n, 1n, 0n]

const pseries = {
  initial: { DEBUG_INST: 0x00dd_dd00n, LPCR: 0x0054_0413n, LPCR_64: 0x0040_0000_0054_0413n },
  special: {
    DPDES: dpdesOfOneThread,
    LPCR: [0x03d6_0413n, 0x0054_0413n, 0x0254_0413n, 0x0054_0413n, 0x0054_0413n],
    LPCR_64: [
      0x0070_0000_03d6_0413n,
      0x0050_0000_0054_0413n,
      0x0030_0000_0254_0413n,
      0x0000_0000_0054_0413n,
      0x0000_0000_0054_0413n,
    ],
  },
  lpcr: 0x0054_0413n,
  lpcrHigh: 0n,
  lpcrBits: [17, 25, 52, 53, 54],
  ail3: true,
} as const

const onMachine = {
  'pseries POWER9': { ...pseries, initial: { ...pseries.initial, MMCR0: 0x8000_0000n } },
  'pseries POWER10': {
    ...pseries,
    initial: { ...pseries.initial, MMCR0: 0x8000_0200n, MMCRA: 0x20_0000_0000n },
  },
  'papr POWER10': {
    ...pseries,
    initial: { ...pseries.initial, MMCR0: 0x8000_0200n, MMCRA: 0x20_0000_0000n },
  },
  'papr POWER11': {
    ...pseries,
    initial: { ...pseries.initial, MMCR0: 0x8000_0200n, MMCRA: 0x20_0000_0000n },
  },
  'powernv POWER8': {
    initial: {
      DEBUG_INST: 0x00dd_dd00n,
      LPCR: 0x0004_f001n,
      LPCR_64: 0xc040_0000_0004_f001n,
      MMCR0: 0x8000_0000n,
    },
    special: {
      LPCR: [0x0384_f201n, 0x0004_f001n, 0x0204_f201n, 0x0004_f001n, 0x0004_f001n],
      LPCR_64: [
        0xc070_0000_0384_f201n,
        0xc050_0000_0004_f001n,
        0xc030_0000_0204_f201n,
        0xc000_0000_0004_f001n,
        0xc000_0000_0004_f001n,
      ],
    },
    lpcr: 0x0004_f001n,
    lpcrHigh: 0xc000_0000_0000_0000n,
    lpcrBits: [9, 25, 52, 53, 54],
    ail3: true,
  },
  'powernv POWER9': {
    initial: {
      DEBUG_INST: 0x00dd_dd00n,
      LPCR: 0x0054_f41fn,
      LPCR_64: 0x0040_0000_0054_f41fn,
      MMCR0: 0x8000_0000n,
    },
    special: {
      DPDES: dpdesOfOneThread,
      LPCR: [0x0256_f41fn, 0x0054_f41fn, 0x0254_f41fn, 0x0054_f41fn, 0x0054_f41fn],
      LPCR_64: [
        0x0070_0000_0256_f41fn,
        0x0050_0000_0054_f41fn,
        0x0030_0000_0254_f41fn,
        0x0000_0000_0054_f41fn,
        0x0000_0000_0054_f41fn,
      ],
    },
    lpcr: 0x0054_f41fn,
    lpcrHigh: 0n,
    lpcrBits: [17, 25, 52, 53, 54],
    ail3: false,
  },
  'powernv POWER10': {
    initial: {
      DEBUG_INST: 0x00dd_dd00n,
      LPCR: 0x0454_f41fn,
      LPCR_64: 0x0040_0000_0454_f41fn,
      MMCR0: 0x8000_0200n,
      MMCRA: 0x20_0000_0000n,
    },
    special: {
      DPDES: dpdesOfOneThread,
      LPCR: [0x07d6_f41fn, 0x0454_f41fn, 0x0654_f41fn, 0x0454_f41fn, 0x0454_f41fn],
      LPCR_64: [
        0x0070_0000_07d6_f41fn,
        0x0050_0000_0454_f41fn,
        0x0030_0000_0654_f41fn,
        0x0000_0000_0454_f41fn,
        0x0000_0000_0454_f41fn,
      ],
    },
    lpcr: 0x0454_f41fn,
    lpcrHigh: 0n,
    lpcrBits: [17, 25, 52, 53, 54],
    ail3: true,
  },
} as const satisfies Record<ModelledMachine, Partial<Measured>>

const upTo207 = { 2: 0x0f00_0002n, 3: 0x0f00_0003n, 4: 0x0f00_0004n } as const
const upTo300 = { ...upTo207, 5: 0x0f00_0005n } as const
const upTo310 = { ...upTo300, 6: 0x0f00_0006n } as const
/** The hypervisor below nested v2 offers POWER9 and later. */
const since300 = { 5: 0x0f00_0005n, 6: 0x0f00_0006n, 7: 0x0f00_0007n } as const

const onLinux = {
  '6.1': {
    absent: ['DEXCR', 'HASHKEYR', 'HASHPKEYR'],
    special: { MMCR3: [0n, 0n, 0n, 0n, 0n] },
    archCompat: { POWER8: upTo207, POWER9: upTo300, POWER10: upTo310 },
    archCompatLies: false,
  },
  '6.12': {
    absent: [],
    special: {},
    archCompat: { POWER8: upTo207, POWER9: upTo300, POWER10: { ...upTo310, 7: 0x0f00_0007n } },
    archCompatLies: false,
  },
  '7.2': {
    absent: [],
    special: { ARCH_COMPAT: nothing },
    archCompat: {
      POWER8: { ...upTo207, 7: 0xffff_ffffn },
      POWER9: { ...upTo300, 7: 0xffff_ffffn },
      POWER10: { ...upTo310, 7: 0xffff_ffffn },
    },
    archCompatLies: true,
  },
} as const

export function measured({ linux, machine }: Kind): Measured {
  const there = onMachine[machine]
  const then = onLinux[linux]
  const absent = [...absentEverywhere, ...then.absent]
  const onPapr =
    machine === 'papr POWER10' && linux === '7.2' ? { ...since300, 7: 0xffff_ffffn } : since300
  const processor = machine.slice(machine.indexOf(' ') + 1) as keyof typeof then.archCompat
  return {
    ...there,
    idTaken: processor === 'POWER8' ? 'EEXIST' : 'EINVAL',
    absent,
    readable: registerNames.filter(
      (name) => !absent.includes(name) && !withoutDevice.includes(name),
    ),
    special: { ...specialEverywhere, ...there.special, ...then.special },
    archCompat: machine.startsWith('papr') ? onPapr : then.archCompat[processor],
    archCompatLies: then.archCompatLies,
  }
}

/** The values of a register that keeps every bit, after writing each pattern. */
export function kept(name: RegisterName): readonly bigint[] {
  return patterns.map((pattern) => BigInt.asUintN(registers[name].width, pattern))
}
