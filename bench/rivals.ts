import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { nsOfOne } from './measure.ts'

const CALLS = 1000
const folder = path.join(import.meta.dirname, 'rivals')
/** KVM_GET_ONE_REG on x86. */
const GET_ONE_REG = 0x4010_aeabn

interface Figure {
  readonly what: string
  readonly ns: number
}

interface Koffi {
  load(library: string): { func(declaration: string): (...given: unknown[]) => number }
}

/** The time of the same ioctl by other means, as far as they can be installed. */
export function rivals(fd: number): Figure[] {
  const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], {
    cwd: folder,
    stdio: 'ignore',
  })
  if (status !== 0) console.log('npm could not install koffi and ioctl to compare with\n')
  return [...koffi(fd), ...ioctl(fd), ...python(fd)]
}

function required(name: string): unknown {
  try {
    return createRequire(path.join(folder, 'package.json'))(name)
  } catch {
    console.log(`${name} could not be loaded (it may not have been built): no figure\n`)
    return undefined
  }
}

/** A struct kvm_one_reg: the id, and an address, which is never used. */
const request = Buffer.alloc(16)

function koffi(fd: number): Figure[] {
  const module = required('koffi') as Koffi | undefined
  if (module === undefined) return []
  const call = module.load('libc.so.6').func('int ioctl(int, unsigned long, void*)')
  return [
    {
      what: 'koffi, ioctl on /dev/null',
      ns: nsOfOne(CALLS, () => {
        for (let count = 0; count < CALLS; count++) call(fd, GET_ONE_REG, request)
      }),
    },
  ]
}

function ioctl(fd: number): Figure[] {
  const call = required('ioctl') as
    ((fd: number, request: number, data: Buffer) => number) | undefined
  if (call === undefined) return []
  const attempt = (): void => {
    try {
      call(fd, Number(GET_ONE_REG), request)
    } catch {
      // It throws for an errno, and the time of that is part of the call's.
    }
  }
  return [
    {
      what: 'npm ioctl, on /dev/null',
      ns: nsOfOne(CALLS, () => {
        for (let count = 0; count < CALLS; count++) attempt()
      }),
    },
  ]
}

function python(fd: number): Figure[] {
  const program = `
import fcntl, time
data = bytearray(16)
best = 1e9
for turn in range(20):
    began = time.perf_counter_ns()
    for call in range(${CALLS}):
        try:
            fcntl.ioctl(3, ${GET_ONE_REG}, data)
        except OSError:
            pass
    best = min(best, (time.perf_counter_ns() - began) / ${CALLS})
print(best)`
  const { status, stdout } = spawnSync('python3', ['-c', program], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore', fd],
  })
  if (status !== 0) {
    console.log('python3 could not be run: no figure\n')
    return []
  }
  return [{ what: "Python's fcntl.ioctl, on /dev/null", ns: Number(stdout) }]
}
