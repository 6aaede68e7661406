import { exitStatus, Failure } from './failure.ts'

/** An emulated machine, as people and QEMU have to be told. */
export interface Machine {
  /** Such as `pseries POWER9`. */
  title: string
  args: readonly string[]
  /** Whether its clock counts the instructions of its one processor, a nanosecond each. */
  counts?: boolean
  /** What it has besides, such as a wire to another host. */
  devices?: readonly string[]
  /** Its PCI bus, if a device cannot find it by itself, and the arguments that add it. */
  pci?: { bus: string; args: readonly string[] }
}

export const cpus = ['POWER9', 'POWER10'] as const

export type Cpu = (typeof cpus)[number]

/** Bare metal, each with its processor. */
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

/** Every machine that there is. */
export function allMachines(): Machine[] {
  return [...cpus.map(pseries), ...(Object.keys(bareMetal) as BareMetal[]).map(powernv)]
}

/**
 * An LPAR. QEMU plays the hypervisor below it (cap-nested-hv), by which KVM in the LPAR can run
 * guests. VOF is a firmware of a few instructions that starts in no time, unlike SLOF.
 */
function pseries(cpu: Cpu): Machine {
  return {
    title: `pseries ${cpu}`,
    args: ['-M', 'pseries,cap-nested-hv=true,x-vof=on', '-cpu', cpu],
  }
}

/** A host with nothing below it, whose kernel writes the timebase itself. Its firmware is skiboot. */
function powernv(name: BareMetal): Machine {
  const cpu = bareMetal[name]
  return { title: `${name} ${cpu}`, args: ['-M', name, '-cpu', cpu], pci: hostBridge }
}

/** With -nodefaults bare metal has no host bridge, and a device is plugged into a root port of one. */
const hostBridge = {
  bus: 'port0',
  args: [
    ...['-device', 'pnv-phb,id=bridge0,chip-id=0,index=0'],
    ...['-device', 'pnv-phb-root-port,id=port0,bus=bridge0'],
  ],
}

/** The machine with a second serial line, of which the other end is another machine's. */
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
  /** As QEMU has it, such as "3G". */
  memory: string
  /** Devices besides the machine's own. */
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
    // A panic ends in a reboot at once, and that ends QEMU.
    ...['-kernel', image, '-initrd', initrd, '-append', 'console=hvc0 quiet panic=-1'],
    // After the console, so that it is the second line.
    ...devices,
    ...more,
  ]
}
