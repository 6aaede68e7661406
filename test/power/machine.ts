/** An emulated machine, as QEMU has to be told. */
export interface Machine {
  cpu: string
  args: readonly string[]
}

export const cpus = ['POWER9', 'POWER10'] as const

export type Cpu = (typeof cpus)[number]

/**
 * An LPAR. QEMU plays the hypervisor below it (cap-nested-hv), by which KVM in the LPAR can run
 * guests. VOF is a firmware of a few instructions that starts in no time, unlike SLOF.
 */
export function pseries(cpu: Cpu): Machine {
  return { cpu, args: ['-M', 'pseries,cap-nested-hv=true,x-vof=on', '-cpu', cpu] }
}

export function qemuArguments(machine: Machine, image: string, initrd: string): string[] {
  return [
    ...machine.args,
    ...['-accel', 'tcg,thread=multi', '-smp', '2', '-m', '3G'],
    ...['-nographic', '-nodefaults', '-no-reboot', '-monitor', 'none', '-serial', 'stdio'],
    // A panic ends in a reboot at once, and that ends QEMU.
    ...['-kernel', image, '-initrd', initrd, '-append', 'console=hvc0 quiet panic=-1'],
  ]
}
