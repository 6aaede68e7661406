import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { actualBackend } from '../../lib/kernel/backend.ts'

const root = path.resolve(import.meta.dirname, '../..')

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of examples/ to its end: on real KVM on a POWER host, elsewhere on the model. */
export async function runExample(program: string, ...args: string[]): Promise<Ended> {
  return startExample(program, ...args).ended
}

/** Starts a program of examples/ without waiting for its end. */
export function startExample(
  program: string,
  ...args: string[]
): { child: ChildProcess & { stdout: NodeJS.ReadableStream }; ended: Promise<Ended> } {
  if (!existsSync(path.join(root, 'dist'))) throw new Error('not built: npm run build:lib')
  const child = spawn(process.execPath, [path.join('examples', program), ...args], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', KVM_PPC_BACKEND: actualBackend('auto') },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([stdout, stderr, [status]]) => ({ status: status as number | null, stdout, stderr }),
  )
  return { child, ended }
}
