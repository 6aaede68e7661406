import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeUnless, straceLacks } from '../support/lacking.ts'

/** What V8 does in between, of its own accord. */
const v8s = /^(futex|m(map|unmap|protect|advise)|brk|getpid|sched_yield|rt_sig\w+|restart_syscall)$/

/** How Node reads a file that holds the frequency; x86 has none, and the test says one. */
const frequency =
  process.arch === 'ppc64'
    ? [
        'close /proc/device-tree',
        'fstat /proc/device-tree',
        'getdents64 /proc/device-tree',
        'openat /proc/device-tree',
        'read /proc/device-tree',
        'statx /proc/device-tree',
      ]
    : []

/** The calls of the main thread between two marks of child-traced.ts, each kind once. */
function callsBetween(trace: string, begin: string, end: string): string[] {
  const lines = trace.split('\n')
  const first = lines.findLastIndex((line) => line.includes(`"/marks/${begin}"`))
  const last = lines.findLastIndex((line) => line.includes(`"/marks/${end}"`))
  expect(first).toBeGreaterThan(0)
  expect(last).toBeGreaterThan(first)
  const [mainThread = ''] = lines[first]?.split(' ', 1) ?? []
  const calls = lines
    .slice(first + 1, last)
    .filter((line) => line.startsWith(`${mainThread} `))
    .map((line) => line.slice(mainThread.length).trim())
    .filter((line) => !line.startsWith('<...'))
    .map(described)
    .filter((call) => !v8s.test(call.split(' ', 1)[0] ?? ''))
  return [...new Set(calls)].sort()
}

/** `ioctl(29<anon_inode:kvm-vcpu:0>, KVM_GET_ONE_REG, …` is `ioctl kvm-vcpu KVM_GET_ONE_REG`. */
function described(line: string): string {
  const call = /^(\w+)\((?:AT_FDCWD<[^>]*>, )?(?:\d+<([^>]*)>|"([^"]*)")?(?:, (\w+))?/.exec(line)
  if (call === null) throw new Error(`A line that is not understood: ${line}`)
  const [, name = '', file, pathname = file ?? '', request = ''] = call
  const what = pathname
    .replace(/^anon_inode:(kvm-\w+).*/, '$1')
    .replace(/\/\d+$/, '/N')
    .replace(/^\/(proc\/device-tree|sys\/firmware\/devicetree)\b.*/, '/proc/device-tree')
  const which = name === 'ioctl' || name === 'fcntl' ? ` ${request}` : ''
  const flags =
    name === 'openat' && what === '/dev/kvm' ? ` ${/O_[\w|]+/.exec(line)?.[0] ?? ''}` : ''
  return `${name} ${what}${which}${flags}`
}

describeUnless(straceLacks, 'the system calls', () => {
  let folder: string
  let trace: string

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
    const output = path.join(folder, 'trace')
    const program = path.join(import.meta.dirname, '../support/child-traced.ts')
    const { status, stderr } = spawnSync(
      'strace',
      ['-f', '-qq', '-y', '-e', 'signal=none', '-o', output, process.execPath].concat([
        ...['--import', 'tsx', program],
      ]),
      { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
    )
    expect([status, stderr]).toEqual([0, ''])
    trace = readFileSync(output, 'utf8')
  }, 300_000)

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  it('of making the kernel ask for the frequency', () => {
    const calls = callsBetween(trace, 'kernel', 'open')
    // Node looks for the package that a module is in, since the kernel loads the addon.
    expect(calls.filter((call) => !call.endsWith('/package.json'))).toEqual(frequency)
  })

  it('of opening a host and making its VMs and vCPUs are these', () => {
    expect(callsBetween(trace, 'open', 'move')).toEqual([
      'fcntl /dev/kvm F_GETSIG',
      'fcntl /dev/kvm F_SETSIG',
      'fcntl kvm-vcpu F_GETSIG',
      'fcntl kvm-vcpu F_SETSIG',
      'fcntl kvm-vm F_GETSIG',
      'fcntl kvm-vm F_SETSIG',
      'ioctl /dev/kvm KVM_CHECK_EXTENSION',
      'ioctl /dev/kvm KVM_CREATE_VM',
      'ioctl kvm-vm KVM_CREATE_VCPU',
      'openat /dev/kvm O_RDWR|O_CLOEXEC',
    ])
  })

  it('of a save, a load and an inherit are three', () => {
    const each = ['KVM_GET_ONE_REG', 'KVM_SET_ONE_REG'].map((call) => `ioctl kvm-vcpu ${call}`)
    // glibc's adjtimex.
    expect(callsBetween(trace, 'move', 'close')).toEqual(['clock_adjtime ', ...each])
  })

  it('of closing are as many as files were opened', () => {
    expect(callsBetween(trace, 'close', 'end')).toEqual([
      'close /dev/kvm',
      'close kvm-vcpu',
      'close kvm-vm',
    ])
  })
})
