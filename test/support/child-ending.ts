import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { callEndlessly } from './endless-calls.ts'
import type { CallKind } from './endless-calls.ts'

// Ends a process or its workers while calls are in flight, in workers and off the main thread.
const [end = '', ...lists] = process.argv.slice(2)
/** Workers, each of which makes calls of the kinds in one list. */
const workers = lists.map((list) => start(list.split(',') as CallKind[]))

// In a worker of Node 20, `--import tsx` does nothing.
function start(kinds: readonly CallKind[]): Worker {
  const url = JSON.stringify(new URL('endless-worker.ts', import.meta.url))
  const code = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${url}, ${url}))`
  return new Worker(code, { eval: true, workerData: { kinds } })
}

function filesOfKvm(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('kvm')
    } catch {
      return false // the listing itself
    }
  }).length
}

function nextMessages(): Promise<unknown> {
  return Promise.all(workers.map((worker) => once(worker, 'message')))
}

// All wait for this: a worker that ran earlier would take the processor from those that still load.
await nextMessages()
for (const worker of workers) worker.postMessage('go')
await nextMessages()
if (end === 'terminate') {
  for (const worker of workers) {
    await wait(Math.random() * 5)
    const status = await worker.terminate()
    if (status !== 1) throw new Error(`A worker ended with ${status}`)
  }
  // Waits, since a call in flight keeps its files open until it ends.
  for (let tries = 0; tries < 100 && filesOfKvm() > 0; tries++) await wait(10)
  console.log(`terminated, ${filesOfKvm()} files left`)
} else {
  const begun = new Promise<void>((resolve) => {
    void callEndlessly(['off the thread'], resolve)
  })
  await begun
  console.log('running')
  setTimeout(() => {
    if (end === 'exit') process.exit(5)
    if (end === 'throw') throw new Error('Something else went wrong')
  }, Math.random() * 20)
}
