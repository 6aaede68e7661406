import { chmod, mkdir, writeFile, cp } from 'node:fs/promises'
import path from 'node:path'
import type { WriteStream } from 'node:tty'
import type { Job } from './host.ts'
import { pack } from './image.ts'
import { OUT_ON_HOST } from './out.ts'

/**
 * Packs /init and what it runs; the token marks what /init says on the console. With a keyboard, the
 * command's console is a terminal of the same size as ours; without, its output is kept apart from its
 * errors.
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
    const { rows = 24, columns = 80 } = process.stdout as Partial<WriteStream>
    await writeFile(path.join(staged, 'power/terminal'), `${rows} ${columns}\n`)
  }
  if (out !== undefined) await mkdir(path.join(staged, OUT_ON_HOST))
  const script = commandScript(command, {
    ...passedOn(process.env, process.stdout),
    ...(out === undefined ? {} : { OUT: OUT_ON_HOST }),
    ...env,
  })
  await writeFile(path.join(staged, 'power/command'), script)
  const archive = path.join(directory, 'command.cpio')
  await pack(staged, archive)
  return archive
}

/** A script for the emulated host's shell that becomes the command. */
export function commandScript(command: readonly string[], env: Record<string, string>): string {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`)
  return `${exports.join('')}exec ${command.map(quote).join(' ')}\n`
}

/** Inside single quotes, the shell leaves everything but the single quote alone. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** The variables of the environment here with which the command fits its output to the terminal. */
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
  // Some programs guess that colours are welcome where they find nothing that speaks against it.
  if (!output.isTTY) return chosen ? passed : { ...passed, NO_COLOR: '1' }
  // There the command prints into a pipe and cannot see that a terminal is at its end.
  if (output.columns > 0) passed['COLUMNS'] ??= `${output.columns}`
  if (!chosen) {
    const level = { 1: 0, 4: 1, 8: 2, 24: 3 }[output.getColorDepth()] ?? 1
    passed['FORCE_COLOR'] = `${level}`
  }
  return passed
}
