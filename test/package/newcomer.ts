import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

/** Not power-host's: this also runs on the emulated host, where that package is not. */
const run = promisify(execFile)

/** How npm is called: `['npm']`, or Node with the path of npm's program. */
export type Npm = readonly [program: string, ...args: string[]]

/** Makes an empty project, and installs the package there without any install script. */
export async function install(project: string, tarball: string, npm: Npm): Promise<void> {
  await mkdir(project, { recursive: true })
  await writeFile(path.join(project, 'package.json'), '{}\n')
  const [program, ...first] = npm
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier']
  await run(program, [...first, 'install', ...options, tarball], { cwd: project })
}

/** The README's first program. */
export async function example(readme: string): Promise<string> {
  const [, program] = /```js\n(.*?)```/s.exec(await readFile(readme, 'utf8')) ?? []
  if (program === undefined) throw new Error(`no example in ${readme}`)
  return program
}

/** The output of the README's example. Its numbers are compared with the README by test/docs. */
export const moved = /^source: \d+ \+ TB_OFFSET 0 = \d+\ndestination: \d+ \+ TB_OFFSET \d+ = \d+\n$/

/** Opens real KVM through the package's own binary: there is no other in an installed package. */
export const openKvm = `
  try {
    openHost({ backend: 'kvm', device: '/dev/null' })
  } catch (error) {
    console.log(error.code, error.cause.message)
  }
`
export const reachedTheKernel = /^ERR_KVM_UNAVAILABLE KVM_CHECK_EXTENSION failed: ENOTTY/

/** Saves a program in the project and runs it there with this Node. */
export async function runProgram(
  project: string,
  name: string,
  text: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  await writeFile(path.join(project, name), text)
  const options = { cwd: project, env: { ...process.env, ...env } }
  return (await run(process.execPath, [name], options)).stdout
}

/** The environment for Node's permission model with what SECURITY.md says that the package needs. */
export function permissions(
  project: string,
  folders = [project, '/proc'],
): { NODE_OPTIONS: string } {
  const { allowedNodeEnvironmentFlags: flags } = process
  const model = flags.has('--permission') ? '--permission' : '--experimental-permission'
  const read = folders.map((folder) => `--allow-fs-read=${folder}`)
  return { NODE_OPTIONS: [model, '--allow-addons', ...read].join(' ') }
}
