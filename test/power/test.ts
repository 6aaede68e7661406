import { Command } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  type HostOptions,
  machine,
  machinesHelp,
  requirePrograms,
} from 'power-host'
import { runSuite } from './suite.ts'

const description =
  "Runs this project's tests on an emulated POWER host, on real KVM. Its output and exit status " +
  'are those of Vitest.'

const more = `
Examples:
  npm run power -- test
  npm run power -- test --machine powernv9 --kernel 7.2 test/kernel/conformance
  npm run power -- test test/kvm/host.test.ts -t "a name"
  npm run power -- test -- --bail 1

What is run:
  The tests as they are in the tree at that moment, without those of files named *.x86.test.ts, which
  are about other machines, and of what is here in test/power. Nothing is missing on that host, so a
  test that is skipped there is a failure. Time-outs are longer than here. If the time is up, the test
  that ran is named.
${machinesHelp}
${cacheHelp}
${exitStatusHelp("Vitest's: 0 if all tests passed, 1 if one failed or was skipped")}`

export const testCommand = addHostOptions(new Command('test'), 900)
  .summary('run this project’s tests there')
  .description(description)
  .argument('[arguments...]', 'names of test files or parts of them, and options of Vitest')
  .addHelpText('after', more)
  .passThroughOptions()
  .action(async (args: string[], { machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms(allPrograms)
    const suite = { machine: chosen, kernel, args, timeoutSeconds: timeout }
    process.exitCode = (await runSuite(suite)).status
  })
