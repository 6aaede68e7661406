import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '../..')

/**
 * Runs a TypeScript program of test/support in a process of its own.
 *
 * @param fds files of this process that the child has as 3, 4, …
 * @returns what it printed, which must be JSON
 */
export function runChild(
  program: string,
  args: readonly string[],
  options: { fds?: readonly number[]; env?: Record<string, string>; user?: number } = {},
): unknown {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', path.join(import.meta.dirname, program), ...args],
    {
      cwd: root,
      encoding: 'utf8',
      env: {
        ...process.env,
        KVM_PPC_BACKEND: '',
        NODE_OPTIONS: '',
        ...options.env,
      },
      ...(options.user !== undefined && { uid: options.user, gid: options.user }),
      stdio: ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])],
    },
  )
  if (status !== 0) throw new Error(`${program} ended with ${status ?? 'a signal'}: ${stderr}`)
  return JSON.parse(stdout)
}
