import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { Worker, isMainThread, workerData } from 'node:worker_threads'
import { Host } from '../../../lib/kvm/host.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { TestGuest } from './index.ts'

// A process with a vCPU in KVM_RUN, which it never leaves by itself, and what may happen then.

const host = new Host(new NativeKernel())

if (isMainThread) await main(process.argv[2] ?? '')
else await inWorker()

async function main(mode: string): Promise<void> {
  const guest = new TestGuest(host, 'watch', 1)
  const [vcpu] = guest.vcpus
  guest.start()
  await wait(200)
  if (mode === 'get' || mode === 'getAsync') {
    setTimeout(() => {
      console.log('a timer fired')
    }, 200)
  }
  console.log('waiting')
  switch (mode) {
    case 'get':
      vcpu?.get('TB_OFFSET')
      break
    case 'getAsync':
      await vcpu?.getAsync('TB_OFFSET')
      break
    case 'exit':
      void vcpu?.getAsync('TB_OFFSET')
      await wait(200)
      process.exit(0)
      break
    case 'throw':
      void vcpu?.getAsync('TB_OFFSET')
      process.on('exit', () => {
        process.exitCode = 7
      })
      process.on('uncaughtException', () => {
        process.exit()
      })
      await wait(200)
      throw new Error('Something else went wrong')
    case 'worker': {
      const worker = await workerWaiting(vcpu?.fd ?? -1, 'getAsync')
      await worker.terminate()
      console.log('terminated')
      guest.stop()
      // The worker's call ends now, after the worker itself.
      await wait(200)
      console.log(String(vcpu?.get('TB_OFFSET')))
      guest.close()
      break
    }
    case 'worker get':
    case 'worker read': {
      const worker = await workerWaiting(vcpu?.fd ?? -1, mode === 'worker get' ? 'get' : 'read')
      const terminated = worker.terminate().then(() => {
        console.log('terminated')
      })
      await wait(500)
      console.log('stopping the guest')
      guest.stop()
      await terminated
      console.log(String(vcpu?.get('TB_OFFSET')))
      guest.close()
      break
    }
    case 'worker get, exit':
      await workerWaiting(vcpu?.fd ?? -1, 'get')
      console.log('exiting')
      process.exit(0)
  }
}

type Waiting = 'getAsync' | 'get' | 'read'

/** A worker with a call that waits for the guest. */
async function workerWaiting(fd: number, call: Waiting): Promise<Worker> {
  // In a worker of Node 20, `--import tsx` does nothing.
  const url = JSON.stringify(import.meta.url)
  const code = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${url}, ${url}))`
  const worker = new Worker(code, { eval: true, workerData: { fd, call } })
  await once(worker, 'message')
  await wait(300)
  return worker
}

async function inWorker(): Promise<void> {
  const { parentPort } = await import('node:worker_threads')
  const { fd, call } = workerData as { fd: number; call: Waiting }
  const vcpu = host.vcpu(fd, 0)
  const bound = vcpu.bind(['TB_OFFSET'])
  parentPort?.postMessage('about to wait')
  if (call === 'getAsync') void vcpu.getAsync('TB_OFFSET')
  if (call === 'get') vcpu.get('TB_OFFSET')
  if (call === 'read') bound.read()
  await wait(1_000_000)
}
