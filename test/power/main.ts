import { addHostOptions, cacheHelp, exitStatusHelp, machinesHelp, runProgram } from 'power-host'
import { Command } from 'commander'
import { coverage } from './coverage.ts'
import { exec, header, runOurs } from './commands.ts'
import { long } from './long.ts'
import { testAll } from './matrix.ts'
import { migrate } from './migrate.ts'
import { packageCommand } from './package.ts'
import { qemu } from './qemu.ts'
import { registersTable } from './registers.ts'
import { recipe } from './walk-through.ts'
import { shell } from './shell.ts'
import { testCommand } from './test.ts'

const description =
  'Runs this project on an emulated POWER host with real KVM: a QEMU machine whose Linux offers ' +
  "/dev/kvm. A command that is not listed is one of this project's own command line: demo, info, " +
  "registers, decode. The command's output and exit status become those of this program."

const more = `
Examples:
  npm run power -- demo
  npm run power -- registers --probe --json
  npm run power -- --cpu POWER10 info
  npm run power -- --machine powernv9 --kernel 7.2-64k info
  npm run power -- exec node -e "console.log(process.arch)"
  npm run power -- test test/kvm/host.test.ts
  npm run power -- test --help
With "npm run --silent power", npm prints no lines of its own.

What is run:
  The command, on the project as it is in the tree at that moment: dist/ (built if lib/ is newer),
  the dependencies and the addon, cross-built. It runs as root in the project's folder, with nothing
  on its standard input, and sees TERM, COLUMNS, NO_COLOR, FORCE_COLOR and what begins with KVM_PPC_
  of the environment here.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('that of the command')}`

const program = addHostOptions(new Command('npm run power --'), 300)
  .usage('[options] <command> [arguments...]')
  .description(description)
  .argument('[command...]', "a command of this project's command line, and its arguments")
  .addHelpText('after', more)
  .helpCommand(true)
  .enablePositionalOptions()
  .passThroughOptions()
  .action(runOurs)
  .hook('preSubcommand', (program, subcommand) => {
    const given = Object.keys(program.opts())
    const early = given.find((name) => program.getOptionValueSource(name) === 'cli')
    if (early === undefined) return
    program.error(`error: --${early} has to come after "${subcommand.name()}"`)
  })

const subcommands = [
  ...[exec, shell, testCommand, testAll, coverage],
  ...[migrate, long, qemu, registersTable, packageCommand, recipe, header],
]
for (const subcommand of subcommands) program.addCommand(subcommand)

await runProgram(program)
