import { Command } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  Failure,
  type HostOptions,
  interrupted,
  machine,
  machinesHelp,
  note,
  prebuildPrograms,
  requirePrograms,
  runOnHost,
  userlandArchive,
  withTemporary,
} from 'power-host'
import { packageArchive } from './package-archive.ts'
import { ownEnvironment, placeOnHost } from './project.ts'

const description =
  'Packs the package, installs it in an empty project on emulated POWER hosts, with the oldest Node ' +
  'that it is for and with the newest of Debian, and runs what a newcomer would.'

const more = `
What is run:
  Two hosts, one after the other: one with trixie's Node 20 and one with the Node of sid, or forky if sid
  cannot be had. If one of the two cannot be had, the other is run, and what was left out is said.
  On each, npm installs the tarball with scripts off and without a network; then the README's
  example moves a timebase on real KVM. The program is install.ts in test/power/package.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('0 if all of it works, 1 if something does not')}`

/** Two kinds of Node, each with the suites that have it. */
const nodes = { 'the oldest Node': ['trixie'], 'the newest Node': ['sid', 'forky'] } as const

export const packageCommand = addHostOptions(new Command('package'), 300)
  .summary('install the packed package there, and use it')
  .description(description)
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms([...allPrograms, ...prebuildPrograms])
    const suites = await suitesWithNode()
    process.exitCode = await withTemporary(async (directory) => {
      const { archive, command } = await packageArchive(directory)
      for (const suite of suites) {
        const { status } = await runOnHost({
          machine: chosen,
          kernel,
          origin: { suite },
          archives: () => Promise.resolve([archive]),
          directory: `/${placeOnHost}`,
          env: ownEnvironment(process.env),
          command,
          timeoutSeconds: timeout,
        })
        if (status !== 0) return status
      }
      return 0
    })
  })

/** A Node that no mirror has at the moment is left out, and that is said; one at least is needed. */
async function suitesWithNode(): Promise<string[]> {
  const found: string[] = []
  const leftOut: string[] = []
  for (const [node, suites] of Object.entries(nodes)) {
    const reasons: string[] = []
    const suite = await firstWithUserland(suites, reasons)
    if (suite !== undefined) found.push(suite)
    else leftOut.push(`${node} is left out: ${reasons.join('\n')}`)
  }
  if (found.length === 0) throw new Failure(leftOut.join('\n'))
  leftOut.forEach(note)
  return found
}

async function firstWithUserland(
  suites: readonly string[],
  reasons: string[],
): Promise<string | undefined> {
  for (const suite of suites) {
    try {
      await userlandArchive({ suite })
      return suite
    } catch (error) {
      interrupted.throwIfAborted()
      if (!(error instanceof Failure)) throw error
      reasons.push(error.message)
    }
  }
  return undefined
}
