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
  options: { fds?: readonly number[]; env?: Record<string, string> } = {},
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
        // Node 20 refuses to change its user while libuv might use io_uring (CVE-2024-22017).
        UV_USE_IO_URING: '0',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])],
    },
  )
  if (status !== 0) throw new Error(`${program} ended with ${status ?? 'a signal'}: ${stderr}`)
  return JSON.parse(stdout)
}
