import { wrongValue } from '../../checks.ts'
import { errnos } from '../../errno.ts'
import { registerNames } from '../../registers.ts'
import type { RegisterName } from '../../registers.ts'
import type { RunRules } from './nested-v2.ts'

/** The Linux versions that were measured. 7.2 behaves the same with pages of 4 KiB and of 64 KiB. */
export const linuxVersions = ['6.1', '6.12', '7.2'] as const

/**
 * `'6.1'`, `'6.12'` or `'7.2'`: the Linux versions that were measured.
 *
 * @group Kernels and batches
 */
export type ModelledLinux = (typeof linuxVersions)[number]

/** The hosts that were measured: `pseries` and `papr` are LPARs, `powernv` is bare metal. */
export const machines = [
  'pseries POWER9',
  'pseries POWER10',
  'papr POWER10',
  'papr POWER11',
  'powernv POWER8',
  'powernv POWER9',
  'powernv POWER10',
] as const

/**
 * `'pseries POWER9'`, `'pseries POWER10'`, `'papr POWER10'`, `'papr POWER11'`, `'powernv POWER8'`,
 * `'powernv POWER9'` or `'powernv POWER10'`: the hosts that were measured. `pseries` is an LPAR under KVM
 * ("nested v1"), `papr` one under PowerVM ("nested v2", since Linux 6.7), `powernv` is bare metal.
 *
 * @group Kernels and batches
 */
export type ModelledMachine = (typeof machines)[number]

/** The behaviour of KVM-HV that depends on the machine and the Linux version. */
export interface MachineRules {
  /** The `-errno` of creating a vCPU whose id the VM has already. */
  readonly idTaken: number
  /** The registers that give EINVAL on reading and on writing. */
  readonly missing: ReadonlySet<RegisterName>
  /** The initial values that are not 0. */
  readonly initial: Partial<Record<RegisterName, bigint>>
  /** The bits that a write can set; the others become 0. */
  readonly writable: Partial<Record<RegisterName, bigint>>
  /** The bits of LPCR that a write can change; the others keep their values. */
  readonly lpcrWritable: bigint
  /** The only values that a write accepts; others give EINVAL. */
  readonly permitted: Partial<Record<RegisterName, readonly bigint[]>>
  /**
   * The values that ARCH_COMPAT accepts with what it holds afterwards, and the result of such a write: Linux
   * 7.2 returns EINVAL although it stores the value.
   */
  readonly archCompat: { readonly modes: ReadonlyMap<bigint, bigint>; readonly result: number }
  /** What a run changes: nested v2. */
  readonly run?: RunRules
}

/** Registers of BookE and of transactional memory, and others that none of the measured kernels has. */
const nowhere =
  /^(IAC\d|DAC\d|EPCR|EPR|OR_TSR|CLEAR_TSR|TCR|TSR|MAS\w+|MMUCFG|TLB\w+|EPTCFG|DBSR|SPRG9|TFHAR|TFIAR|TEXASR|TM_\w+)$/
const sinceLinux612: ReadonlySet<RegisterName> = new Set(['DEXCR', 'HASHKEYR', 'HASHPKEYR'])

const DPFD = 0x0070_0000_0000_0000n
const ILE = 0x0200_0000n
const AIL = 0x0180_0000n
const LD = 0x0002_0000n
const TC = 0x0000_0200n

const lpcr: Readonly<Record<ModelledMachine, { initial: bigint; writable: bigint }>> = {
  'pseries POWER9': { initial: 0x0040_0000_0054_0413n, writable: DPFD | ILE | AIL | LD },
  'pseries POWER10': { initial: 0x0040_0000_0054_0413n, writable: DPFD | ILE | AIL | LD },
  'papr POWER10': { initial: 0x0040_0000_0054_0413n, writable: DPFD | ILE | AIL | LD },
  'papr POWER11': { initial: 0x0040_0000_0054_0413n, writable: DPFD | ILE | AIL | LD },
  'powernv POWER8': { initial: 0xc040_0000_0004_f001n, writable: DPFD | ILE | AIL | TC },
  'powernv POWER9': { initial: 0x0040_0000_0054_f41fn, writable: DPFD | ILE | LD },
  'powernv POWER10': { initial: 0x0040_0000_0454_f41fn, writable: DPFD | ILE | AIL | LD },
}

/**
 * The logical PVRs that ARCH_COMPAT accepts, with what it holds afterwards: 0 for none, and those from Power
 * ISA 2.06 up to the processor's own.
 */
function compatibilityModes(
  machine: ModelledMachine,
  linux: ModelledLinux,
): ReadonlyMap<bigint, bigint> {
  const isPower10 = machine.endsWith('POWER10')
  const newest = machine.endsWith('POWER8')
    ? 4n
    : machine.endsWith('POWER9')
      ? 5n
      : machine.endsWith('POWER10')
        ? 6n
        : 7n
  const modes = new Map([[0n, 0n]])
  // The hypervisor below a PowerVM partition offers POWER9 and later.
  const oldest = machine.startsWith('papr') ? 5n : 2n
  for (let mode = 0x0f00_0000n + oldest; mode <= 0x0f00_0000n + newest; mode++)
    modes.set(mode, mode)
  // POWER11's logical PVR: Linux 6.1 does not know it, and 7.2 stores another value instead.
  if (linux === '7.2' && newest < 7n) modes.set(0x0f00_0007n, 0xffff_ffffn)
  else if (linux === '6.12' && isPower10) modes.set(0x0f00_0007n, 0x0f00_0007n)
  return modes
}

/** Whether this Linux has KVM on this machine: nested v2 came with 6.7. */
export function isModelled(machine: ModelledMachine, linux: ModelledLinux): boolean {
  return !machine.startsWith('papr') || linux !== '6.1'
}

function runRules(machine: ModelledMachine, linux: ModelledLinux): RunRules {
  const isPower11 = machine.endsWith('POWER11')
  return {
    lpcrKept: lpcr[machine].writable,
    lpcrSet: 0x0050_0403n,
    ownPvr: isPower11 ? 0x0082_1200n : 0x0080_1200n,
    // Linux 6.12 sends the level of POWER10 on POWER11 too.
    ownLevel: isPower11 && linux === '7.2' ? 0x0f00_0007n : 0x0f00_0006n,
  }
}

function hasMmcr3(machine: ModelledMachine): boolean {
  return machine.endsWith('POWER10') || machine.endsWith('POWER11')
}

/**
 * The rules that were measured on this machine with this Linux.
 *
 * @throws TypeError for a Linux that has no KVM on this machine
 */
export function rulesOf(machine: ModelledMachine, linux: ModelledLinux): MachineRules {
  if (!isModelled(machine, linux)) throw wrongValue('linux', `6.7 or later on ${machine}`, linux)
  const isMissing = (name: RegisterName): boolean =>
    nowhere.test(name) || (linux === '6.1' && sinceLinux612.has(name))
  return {
    idTaken: machine.endsWith('POWER8') ? -errnos.EEXIST : -errnos.EINVAL,
    missing: new Set(registerNames.filter(isMissing)),
    initial: {
      DEBUG_INST: 0x00dd_dd00n,
      LPCR_64: lpcr[machine].initial,
      ...(hasMmcr3(machine)
        ? { MMCR0: 0x8000_0200n, MMCRA: 0x20_0000_0000n }
        : { MMCR0: 0x8000_0000n }),
    },
    writable: {
      // One doorbell bit for each thread of the core: from POWER9 on a vCPU's core has one thread.
      ...(machine.endsWith('POWER8') ? {} : { DPDES: 0x1n }),
      ...(linux === '6.1' ? { MMCR3: 0n } : {}),
      DABRX: ~0x4n, // without HYP, which would match in hypervisor mode
      DAWRX: ~0x4n,
      DAWRX1: ~0x4n,
      PID: 0xffff_ffffn,
      PSSCR: 0xf000_0000_0000_03ffn,
    },
    lpcrWritable: lpcr[machine].writable,
    permitted: { HIOR: [0n], DEBUG_INST: [] },
    archCompat: {
      modes: compatibilityModes(machine, linux),
      result: linux === '7.2' ? -errnos.EINVAL : 0,
    },
    ...(machine.startsWith('papr') ? { run: runRules(machine, linux) } : {}),
  }
}
