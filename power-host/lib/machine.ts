import { exitStatus, Failure } from './failure.ts'
import type { KernelName } from './kernel.ts'
import { compareVersions } from './sources.ts'

/** An emulated machine: its title for people, and its arguments for QEMU. */
export interface Machine {
  /** Such as `pseries POWER9`. */
  title: string
  args: readonly string[]
  /** Whether its clock counts the instructions of its one processor, a nanosecond each. */
  counts?: boolean
  /** The oldest QEMU that has this machine, if not every QEMU has it. */
  leastQemu?: string
  /** The oldest Linux that runs guests on this machine, if not every one does. */
  leastLinux?: string
  /** QEMU's arguments for additional devices, such as a wire to another host. */
  devices?: readonly string[]
  /** The PCI bus for more devices and the arguments that add it, if the machine has none by itself. */
  pci?: { bus: string; args: readonly string[] }
}

export const cpus = ['POWER9', 'POWER10', 'POWER11'] as const

export type Cpu = (typeof cpus)[number]

/** The bare-metal machines, with their processors. */
const bareMetal = { powernv8: 'POWER8', powernv9: 'POWER9', powernv10: 'POWER10' } as const

type BareMetal = keyof typeof bareMetal

/** The logical partitions, with the processors that they can have, the default first. */
const partitions = { pseries: ['POWER9', 'POWER10'], papr: ['POWER10', 'POWER11'] } as const

type Partition = keyof typeof partitions

export type MachineName = Partition | BareMetal

export const machineNames: MachineName[] = [
  ...(Object.keys(partitions) as Partition[]),
  ...(Object.keys(bareMetal) as BareMetal[]),
]

/**
 * The machine of this name.
 *
 * @param cpu the processor of a partition
 * @param counts whether its clock counts instructions. That of papr always does; see {@link inRealTime}
 */
export function machine(name: MachineName, cpu?: Cpu, counts = false): Machine {
  const plain = machineOf(name, cpu)
  return counts && plain.counts !== true ? counting(plain) : plain
}

function counting(plain: Machine): Machine {
  return { ...plain, title: `${plain.title} counting instructions`, counts: true }
}

function machineOf(name: MachineName, cpu?: Cpu): Machine {
  if (name !== 'pseries' && name !== 'papr') {
    if (cpu === undefined) return powernv(name)
    throw new Failure(
      `--cpu is for pseries and papr; ${name} is a ${bareMetal[name]}`,
      exitStatus.usage,
    )
  }
  const offered: readonly Cpu[] = partitions[name]
  const chosen = cpu ?? partitions[name][0]
  if (!offered.includes(chosen)) {
    throw new Failure(`${name} has the processors ${offered.join(' and ')}`, exitStatus.usage)
  }
  return name === 'pseries' ? pseries(chosen) : papr(chosen)
}

/** All machines, each with each of its processors. */
export function allMachines(): Machine[] {
  return [
    ...partitions.pseries.map(pseries),
    ...(Object.keys(bareMetal) as BareMetal[]).map(powernv),
    ...partitions.papr.map(papr),
  ]
}

/** Whether this kernel runs guests on this machine. */
export function runsGuests({ leastLinux = '0' }: Machine, kernel: KernelName): boolean {
  return compareVersions(kernel, leastLinux) >= 0
}

/** @throws Failure for a kernel that does not run guests on this machine */
export function checkKernel(machine: Machine, kernel: KernelName): void {
  if (runsGuests(machine, kernel)) return
  const { title, leastLinux = '' } = machine
  throw new Failure(
    `Linux ${kernel} has no KVM on ${title}: that is since Linux ${leastLinux}`,
    exitStatus.usage,
  )
}

/**
 * A partition in which KVM uses the older interface to the hypervisor, "nested v1": QEMU acts as the KVM of a
 * bare-metal host below it (cap-nested-hv). VOF is a firmware of a few instructions, and starts much faster
 * than SLOF.
 */
function pseries(cpu: Cpu): Machine {
  return {
    title: `pseries ${cpu}`,
    args: ['-M', 'pseries,cap-nested-hv=true,x-vof=on', '-cpu', cpu],
  }
}

/**
 * A partition in which KVM uses the interface of PAPR, "nested v2", as under PowerVM. The kernel prefers it
 * where both are offered, but QEMU offers only one of them at a time.
 *
 * Its clock counts instructions, since a host in real time loses its own timer's interrupts into guests that
 * run for long: QEMU 10 and 11 then stall for seconds or for ever.
 */
function papr(cpu: Cpu): Machine {
  return {
    title: `papr ${cpu}`,
    args: ['-M', 'pseries,cap-nested-papr=true,x-vof=on', '-cpu', cpu],
    counts: true,
    leastQemu: '9.1',
    leastLinux: '6.7',
  }
}

/**
 * The machine with a clock that keeps to this machine's. On papr, its guests must then leave KVM_RUN often,
 * such as by a hypercall.
 */
export function inRealTime(machine: Machine): Machine {
  return { ...machine, counts: false }
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

/**
 * Adds a second console to a machine, /dev/hvc1 there, whose other end belongs to another machine.
 *
 * That of bare metal is a virtio device on a host bridge of its own: the firmware would take a second serial line for
 * the console instead of the first.
 */
export function wired(machine: Machine, socket: string, end: 'listens' | 'calls'): Machine {
  const role = end === 'listens' ? ',server=on,wait=off' : ''
  const link = ['-chardev', `socket,id=link,path=${socket}${role}`]
  const line =
    machine.pci === undefined
      ? ['-serial', 'chardev:link']
      : [
          ...['-device', 'pnv-phb,id=bridge1,chip-id=0,index=1'],
          ...['-device', 'pnv-phb-root-port,id=port1,bus=bridge1'],
          ...['-device', 'virtio-serial-pci,bus=port1', '-device', 'virtconsole,chardev=link'],
        ]
  return { ...machine, devices: [...link, ...line] }
}

/** @throws Failure for a kernel that has no {@link wired} console on this machine */
export function checkWire({ title, pci }: Machine, kernel: KernelName): void {
  if (pci === undefined || compareVersions(kernel, '6.12') >= 0) return
  throw new Failure(
    `Linux ${kernel} has no wire on ${title}: its virtio console is a module, which is built in since 6.12`,
    exitStatus.usage,
  )
}

const asFastAsItGoes = ['-accel', 'tcg,thread=multi', '-smp', '2']
const countingInstructions = [
  '-accel',
  'tcg,thread=single',
  '-icount',
  'shift=0,sleep=off',
  '-smp',
  '1',
]

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
    ...(counts === true ? countingInstructions : asFastAsItGoes),
    ...['-m', memory],
    ...['-nographic', '-nodefaults', '-no-reboot', '-monitor', 'none', '-serial', 'stdio'],
    // A panic reboots at once, and with -no-reboot that ends QEMU.
    ...['-kernel', image, '-initrd', initrd, '-append', 'console=hvc0 quiet panic=-1'],
    // After the console, so that it is the second line.
    ...devices,
    ...more,
  ]
}
