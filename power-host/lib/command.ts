import { chmod, mkdir, writeFile, cp } from 'node:fs/promises'
import path from 'node:path'
import type { WriteStream } from 'node:tty'
import type { Job } from './host.ts'
import { pack } from './image.ts'
import { OUT_ON_HOST } from './out.ts'

/**
 * Packs /init and the command that it runs. The token marks the lines that /init writes for this program. With
 * a keyboard, the command's console is a terminal of the same size as this one; without, its standard output
 * and standard error are kept apart.
 */
export async function commandArchive(
  { command, directory: workingDirectory, env, keyboard, out }: Job,
  token: string,
  directory: string,
): Promise<string> {
  const staged = path.join(directory, 'command')
  await mkdir(path.join(staged, 'power'), { recursive: true })
  await cp(path.join(import.meta.dirname, 'init.sh'), path.join(staged, 'init'))
  await chmod(path.join(staged, 'init'), 0o755)
  await writeFile(path.join(staged, 'power/token'), `${token}\n`)
  await writeFile(path.join(staged, 'power/made'), `${Math.floor(Date.now() / 1000)}\n`)
  await writeFile(path.join(staged, 'power/directory'), `${workingDirectory}\n`)
  if (keyboard !== undefined) {
    // Both are 0 for a terminal that does not know its size, such as that of script(1).
    const { rows = 0, columns = 0 } = process.stdout as Partial<WriteStream>
    const size = `${rows > 0 ? rows : 24} ${columns > 0 ? columns : 80}\n`
    await writeFile(path.join(staged, 'power/terminal'), size)
  }
  if (out !== undefined) await mkdir(path.join(staged, OUT_ON_HOST))
  const script = commandScript(command, {
    ...passedOn(process.env, process.stdout),
    ...(out === undefined ? {} : { OUT: OUT_ON_HOST }),
    ...env,
  })
  await writeFile(path.join(staged, 'power/command'), script)
  const archive = path.join(directory, 'command.cpio.lz4')
  await pack(staged, archive)
  return archive
}

/** A script for the emulated host's shell that becomes the command. */
export function commandScript(command: readonly string[], env: Record<string, string>): string {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`)
  return `${exports.join('')}exec ${command.map(quote).join(' ')}\n`
}

/** Quotes a word for the shell. Inside single quotes only the single quote itself has a meaning. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** The variables of this environment by which the command adapts its output to the terminal. */
export function passedOn(
  env: NodeJS.ProcessEnv,
  output: Pick<WriteStream, 'isTTY' | 'columns' | 'getColorDepth'>,
): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      /^(TERM|COLUMNS|NO_COLOR|FORCE_COLOR)$/.test(entry[0]) && entry[1] !== undefined,
  )
  const passed = Object.fromEntries(kept)
  const chosen = 'NO_COLOR' in passed || 'FORCE_COLOR' in passed
  // Some programs use colours unless a variable says otherwise.
  if (!output.isTTY) return chosen ? passed : { ...passed, NO_COLOR: '1' }
  // On the host the command prints into a pipe, so it cannot see that the output goes to a terminal here.
  if (output.columns > 0) passed['COLUMNS'] ??= `${output.columns}`
  if (!chosen) {
    const level = { 1: 0, 4: 1, 8: 2, 24: 3 }[output.getColorDepth()] ?? 1
    passed['FORCE_COLOR'] = `${level}`
  }
  return passed
}
