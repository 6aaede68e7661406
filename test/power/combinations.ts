import { allMachines, type KernelName, kernelNames, type Machine, runsGuests } from 'power-host'

export interface Combination {
  machine: Machine
  kernel: KernelName
}

/**
 * Every machine with every kernel that has KVM there. Row by row of the table, a run that has to end early would not have
 * seen the last machines; this way the first few have seen each machine and each kernel.
 */
export function allCombinations(): Combination[] {
  const machines = allMachines()
  return kernelNames.flatMap((_, shift) =>
    machines.flatMap((machine, row) => {
      const kernel = kernelNames[(row + shift) % kernelNames.length]
      return kernel === undefined || !runsGuests(machine, kernel) ? [] : [{ machine, kernel }]
    }),
  )
}
