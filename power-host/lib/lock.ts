import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { Failure } from './failure.ts'
import { interrupted } from './interrupt.ts'
import { note } from './progress.ts'
import { ended, killGroup } from './run.ts'

/**
 * Does the work while no other run on this machine holds the same lock file. Node has no flock(2), so flock(1)
 * holds the lock until its `cat` sees the end of a pipe from this process. The pipe ends with the process,
 * however that ends, so that no lock stays behind.
 */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  interrupted.throwIfAborted()
  await mkdir(path.dirname(file), { recursive: true })
  const holder = spawn('flock', [file, 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  const end = ended(holder)
  const giveUp = (): void => {
    killGroup(holder, 'SIGTERM')
  }
  const slow = setTimeout(() => {
    note(`another run is preparing ${path.basename(file)}, waiting for it`)
  }, 500)
  interrupted.addEventListener('abort', giveUp)
  try {
    const first = await Promise.race([once(holder.stdout, 'data'), end])
    interrupted.throwIfAborted()
    if (!Array.isArray(first)) throw new Failure(`flock could not lock ${file} (${first})`)
    clearTimeout(slow)
    // From here on an interrupt does not release the lock before the work has cleaned up.
    interrupted.removeEventListener('abort', giveUp)
    return await work()
  } finally {
    clearTimeout(slow)
    interrupted.removeEventListener('abort', giveUp)
    holder.stdin.end()
    await end
  }
}
