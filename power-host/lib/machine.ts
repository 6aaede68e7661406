import { exitStatus, Failure } from './failure.ts'

/** An emulated machine: its title for people, and its arguments for QEMU. */
export interface Machine {
  /** Such as `pseries POWER9`. */
  title: string
  args: readonly string[]
  /** Whether its clock counts the instructions of its one processor, a nanosecond each. */
  counts?: boolean
  /** QEMU's arguments for additional devices, such as a wire to another host. */
  devices?: readonly string[]
  /** The PCI bus for more devices and the arguments that add it, if the machine has none by itself. */
  pci?: { bus: string; args: readonly string[] }
}

export const cpus = ['POWER9', 'POWER10'] as const

export type Cpu = (typeof cpus)[number]

/** The bare-metal machines, with their processors. */
const bareMetal = { powernv8: 'POWER8', powernv9: 'POWER9', powernv10: 'POWER10' } as const

type BareMetal = keyof typeof bareMetal

export type MachineName = 'pseries' | BareMetal

export const machineNames: MachineName[] = ['pseries', ...(Object.keys(bareMetal) as BareMetal[])]

export function machine(name: MachineName, cpu?: Cpu, counts = false): Machine {
  const plain = machineOf(name, cpu)
  return counts ? { ...plain, title: `${plain.title} counting instructions`, counts } : plain
}

function machineOf(name: MachineName, cpu?: Cpu): Machine {
  if (name === 'pseries') return pseries(cpu ?? 'POWER9')
  if (cpu !== undefined) {
    throw new Failure(`--cpu is for pseries; ${name} is a ${bareMetal[name]}`, exitStatus.usage)
  }
  return powernv(name)
}

/** The names of all machines. */
export function allMachines(): Machine[] {
  return [...cpus.map(pseries), ...(Object.keys(bareMetal) as BareMetal[]).map(powernv)]
}

/**
 * An LPAR. QEMU acts as the hypervisor below it (cap-nested-hv), which KVM in the LPAR needs to run guests. VOF
 * is a firmware of a few instructions, and starts much faster than SLOF.
 */
function pseries(cpu: Cpu): Machine {
  return {
    title: `pseries ${cpu}`,
    args: ['-M', 'pseries,cap-nested-hv=true,x-vof=on', '-cpu', cpu],
  }
}

/** A bare-metal host, whose kernel writes the timebase itself. Its firmware is skiboot. */
function powernv(name: BareMetal): Machine {
  const cpu = bareMetal[name]
  return { title: `${name} ${cpu}`, args: ['-M', name, '-cpu', cpu], pci: hostBridge }
}

/** A host bridge for bare metal, which has none with -nodefaults. Devices are plugged into its root port. */
const hostBridge = {
  bus: 'port0',
  args: [
    ...['-device', 'pnv-phb,id=bridge0,chip-id=0,index=0'],
    ...['-device', 'pnv-phb-root-port,id=port0,bus=bridge0'],
  ],
}

/** Adds a second serial line to a machine, whose other end belongs to another machine. */
export function wired(machine: Machine, socket: string, end: 'listens' | 'calls'): Machine {
  const role = end === 'listens' ? ',server=on,wait=off' : ''
  const link = `socket,id=link,path=${socket}${role}`
  return { ...machine, devices: ['-chardev', link, '-serial', 'chardev:link'] }
}

const asFastAsItGoes = ['-accel', 'tcg,thread=multi', '-smp', '2']
const counting = ['-accel', 'tcg,thread=single', '-icount', 'shift=0,sleep=off', '-smp', '1']

export interface Start {
  image: string
  initrd: string
  /** The memory in QEMU's notation, such as "3G". */
  memory: string
  /** QEMU's arguments for more devices. */
  devices: readonly string[]
}

export function qemuArguments(
  { args, counts, devices = [] }: Machine,
  { image, initrd, memory, devices: more }: Start,
): string[] {
  return [
    ...args,
    ...(counts === true ? counting : asFastAsItGoes),
    ...['-m', memory],
    ...['-nographic', '-nodefaults', '-no-reboot', '-monitor', 'none', '-serial', 'stdio'],
    // A panic reboots at once, and with -no-reboot that ends QEMU.
    ...['-kernel', image, '-initrd', initrd, '-append', 'console=hvc0 quiet panic=-1'],
    // After the console, so that it is the second line.
    ...devices,
    ...more,
  ]
}
