import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { expect, vi } from 'vitest'
import { addonLacks, describeUnless, itUnless } from '../../support/lacking.ts'

vi.setConfig({ testTimeout: 60_000 })

const straceLacks =
  spawnSync('strace', ['--version']).error === undefined
    ? undefined
    : 'strace: apt-get install strace'

/** The system calls of the addon in a process that makes these calls of the table. */
function tracedCalls(which: 'refused' | 'taken'): string[] {
  const program = path.resolve(import.meta.dirname, '../../support/addon-abuser.ts')
  const node = [process.execPath, '--import', 'tsx', program, which]
  const trace = ['-f', '-qq', '-e', 'trace=ioctl,open,openat,close', '-o', '|cat >&3']
  const { status, output } = spawnSync('strace', [...trace, ...node], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  expect(status, output[2] ?? '').toBe(0)
  expect(Number(output[1])).toBeGreaterThan(0)
  const ours = /ioctl\(.*KVM_|"\/nonexistent|\(2\d{9}\b|O_RDWR\|O_CLOEXEC/
  return output[3]?.split('\n').filter((line) => ours.test(line)) ?? []
}

describeUnless(addonLacks, 'the addon under abuse, traced', () => {
  itUnless(straceLacks, 'makes no system call for what it refuses', () => {
    expect(tracedCalls('refused')).toEqual([])
    const taken = tracedCalls('taken').join('\n')
    expect(taken).toMatch(/openat\(AT_FDCWD, "\/nonexistent\/abuse", O_RDWR\|O_CLOEXEC\)/)
    expect(taken).toContain('close(2000000000)')
    expect(new Set(taken.match(/\bKVM_(?!CAP_)\w+/g))).toEqual(
      new Set([
        'KVM_CHECK_EXTENSION',
        'KVM_CREATE_VM',
        'KVM_CREATE_VCPU',
        'KVM_GET_ONE_REG',
        'KVM_SET_ONE_REG',
      ]),
    )
  })
})
