import { constants } from 'node:os'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { errnoName, errnos, meansAbsent } from '../lib/errno.ts'
import {
  closed,
  KvmError,
  OneRegError,
  stateFormat,
  TimebaseDivergedError,
  TimebaseDowntimeError,
  TimebaseFrequencyError,
  TimebaseNotAppliedError,
  unavailable,
} from '../lib/errors.ts'
import type { KvmErrorContext } from '../lib/errors.ts'

describe('errnoName', () => {
  it('names what KVM gives', () => {
    const names = [-1, -2, -4, -5, -6, -9, -12, -13, -14, -22, -25, -38].map(errnoName)
    expect(names).toEqual([
      ...['EPERM', 'ENOENT', 'EINTR', 'EIO', 'ENXIO', 'EBADF'],
      ...['ENOMEM', 'EACCES', 'EFAULT', 'EINVAL', 'ENOTTY', 'ENOSYS'],
    ])
  })

  it('names every number of its own list', () => {
    for (const [name, errno] of Object.entries(errnos)) expect(errnoName(-errno)).toBe(name)
  })

  it('leaves other numbers to Node', () => {
    expect(errnoName(-28)).toBe('ENOSPC')
    expect(errnoName(-36)).toBe(process.platform === 'linux' ? 'ENAMETOOLONG' : errnoName(-36))
  })

  it('describes an errno without a name by its number', () => {
    // 524 is ENOTSUPP, which only the kernel itself knows.
    expect(errnoName(-524)).toMatch(/524/)
  })

  it.skipIf(process.platform !== 'linux')('has the numbers of Linux (on Linux only)', () => {
    const theirs: Partial<Record<string, number>> = constants.errno
    for (const [name, errno] of Object.entries(errnos))
      expect([name, theirs[name]]).toEqual([name, errno])
  })
})

describe('meansAbsent', () => {
  it('is true of the codes that a kernel gives for a register that is not there', () => {
    const absent = Object.entries(errnos).filter(([, errno]) => meansAbsent(-errno))
    expect(absent.map(([name]) => name).sort()).toEqual([
      'EINVAL',
      'ENOENT',
      'ENXIO',
      'EOPNOTSUPP',
      'EPERM',
    ])
  })
})

describe('KvmError', () => {
  it('has the fields of Node’s system errors, and where it happened', () => {
    const error = new KvmError(-22, {
      operation: 'KVM_SET_ONE_REG',
      register: 'TB_OFFSET',
      vcpu: 3,
    })
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: 'KvmError',
      code: 'EINVAL',
      errno: -22,
      syscall: 'ioctl',
      operation: 'KVM_SET_ONE_REG',
      register: 'TB_OFFSET',
      vcpu: 3,
    })
    expect(error.message).toBe(
      'KVM_SET_ONE_REG of TB_OFFSET on vCPU 3 failed: EINVAL (this kernel or processor does not ' +
        'have the register, refuses the value, or the descriptor is not a vCPU)',
    )
    expect(String(error)).toMatch(/^KvmError: KVM_SET_ONE_REG /)
    expect(error.stack).toMatch(/errors\.test/)
  })

  it('has no register and no vCPU where the call was for none', () => {
    const error = new KvmError(-12, { operation: 'KVM_CREATE_VM' })
    expect('register' in error).toBe(false)
    expect('vcpu' in error).toBe(false)
    expect(inspect(error)).not.toContain('undefined')
    expect(error.message).toMatch(/^KVM_CREATE_VM failed: ENOMEM \(/)
  })

  it('knows vCPU 0 from none', () => {
    const error = new KvmError(-22, { operation: 'KVM_CREATE_VCPU', vcpu: 0 })
    expect(error.vcpu).toBe(0)
    expect(error.message).toMatch(/^KVM_CREATE_VCPU on vCPU 0 failed/)
  })

  it.each([
    ['KVM_GET_ONE_REG', 'ioctl'],
    ['KVM_CHECK_EXTENSION', 'ioctl'],
    ['open', 'open'],
    ['readlink', 'readlink'],
    ['mftb', 'mftb'],
    ['clock_gettime', 'clock_gettime'],
  ])('was, in %s, the system call %s', (operation, syscall) => {
    expect(new KvmError(-5, { operation }).syscall).toBe(syscall)
  })

  const ofRegister: KvmErrorContext = { operation: 'KVM_GET_ONE_REG', register: 'DAR', vcpu: 1 }
  it.each<[number, KvmErrorContext, RegExp]>([
    [-5, ofRegister, /made by another process.*not in a child.*worker threads are fine/],
    [-22, ofRegister, /does not have the register, refuses the value, or .* not a vCPU/],
    [-22, { operation: 'KVM_CREATE_VCPU', vcpu: 1 }, /id is taken or too high.*not a VM/],
    [-22, { operation: 'KVM_CREATE_VM' }, /refuses the argument/],
    [-6, ofRegister, /guest lacks the device/],
    [-25, ofRegister, /another kind of file/],
    [-9, ofRegister, /descriptor is closed/],
    [-4, ofRegister, /signal.*try again/],
    [-12, { operation: 'KVM_CREATE_VM' }, /no memory left/],
    [-24, { operation: 'KVM_CREATE_VM' }, /too many files.*ulimit -n/],
    [-14, ofRegister, /could not read or write the memory/],
    [-16, ofRegister, /ioctl\(2\).*api\.rst/],
    [-524, ofRegister, /ioctl\(2\).*api\.rst/],
  ])('says what usually causes %d', (errno, context, cause) => {
    expect(new KvmError(errno, context).message).toMatch(cause)
  })
})

describe('the errors of this library', () => {
  it('have a code, a name and a message', () => {
    const error = closed('The VM')
    expect(error).toBeInstanceOf(OneRegError)
    expect(error).toMatchObject({ code: 'ERR_KVM_CLOSED', name: 'OneRegError' })
    expect(error.message).toBe('The VM is closed')
  })

  it.each([
    [
      'ERR_KVM_UNAVAILABLE',
      (message: string, cause?: Error) => unavailable('no-addon', message, cause),
    ],
    ['ERR_STATE_FORMAT', stateFormat],
  ] as const)('keep their cause, where there is one: %s', (code, make) => {
    const cause = new Error('why')
    expect(make('what', cause)).toMatchObject({ code, message: 'what', cause })
    expect('cause' in make('what')).toBe(false)
  })

  it('have a reason where their code has several', () => {
    expect(unavailable('no-addon', 'what').reason).toBe('no-addon')
    expect('reason' in stateFormat('what')).toBe(false)
  })

  it('list the offsets of vCPUs that differ', () => {
    const offsets = [
      { vcpu: 0, offset: 5n },
      { vcpu: 8, offset: (1n << 64n) - 1n },
    ]
    const error = new TimebaseDivergedError(offsets)
    expect(error).toMatchObject({ code: 'ERR_TIMEBASE_DIVERGED', offsets })
    expect(error.message).toContain('(vCPU 0: 5, vCPU 8: 18446744073709551615)')
  })

  it('tell both frequencies', () => {
    const error = new TimebaseFrequencyError(512_000_000n, 33_333_333n)
    expect(error).toMatchObject({
      code: 'ERR_TIMEBASE_FREQUENCY',
      saved: 512_000_000n,
      host: 33_333_333n,
    })
    expect(error.message).toMatch(/512000000 Hz.*33333333 Hz/)
  })

  it('tell the downtime and its limit', () => {
    const error = new TimebaseDowntimeError(7_000_000_000n, 5_000_000_000n)
    expect(error).toMatchObject({
      code: 'ERR_TIMEBASE_DOWNTIME',
      downtimeNs: 7_000_000_000n,
      maxDowntimeNs: 5_000_000_000n,
    })
    expect(error.message).toMatch(/7000000000 ns.*maxDowntimeNs is 5000000000.*synchronised/)
  })

  it('tell the downtime that is too long without a limit', () => {
    const error = new TimebaseDowntimeError(1n << 62n)
    expect('maxDowntimeNs' in error).toBe(false)
    expect(error.message).toMatch(/4611686018427387904 ns.*step back/)
  })
})

describe('TimebaseNotAppliedError', () => {
  const failure = { vcpu: 1, register: 'VTB', problem: 'it failed', notRestored: [] }

  it('says that nothing had been changed', () => {
    const error = new TimebaseNotAppliedError({ ...failure, written: false })
    expect(error).toMatchObject({
      code: 'ERR_TIMEBASE_NOT_APPLIED',
      vcpu: 1,
      register: 'VTB',
      restored: true,
      notRestored: [],
    })
    expect(error.message).toBe('The timebase was not applied: it failed. Nothing had been changed')
  })

  it('says that everything was put back', () => {
    const cause = new KvmError(-5, { operation: 'KVM_SET_ONE_REG' })
    const error = new TimebaseNotAppliedError({ ...failure, written: true, cause })
    expect(error).toMatchObject({ restored: true, cause })
    expect(error.message).toMatch(/it failed\. Everything was put back as it was$/)
  })

  it('says what could not be put back, and warns of this guest', () => {
    const notRestored = [
      { vcpu: 0, register: 'TB_OFFSET', problem: 'EIO' },
      { vcpu: 2, register: 'DEC_EXPIRY', problem: 'EBADF' },
    ]
    const error = new TimebaseNotAppliedError({ ...failure, written: true, notRestored })
    expect(error).toMatchObject({ restored: false, notRestored })
    expect(error.message).toMatch(
      /could not be put back: TB_OFFSET on vCPU 0 \(EIO\), DEC_EXPIRY on vCPU 2 \(EBADF\); do not run/,
    )
  })

  it('has no vCPU and no register where it failed on none', () => {
    const error = new TimebaseNotAppliedError({
      problem: 'it failed',
      written: false,
      notRestored: [],
    })
    expect('vcpu' in error).toBe(false)
    expect('register' in error).toBe(false)
    expect('cause' in error).toBe(false)
  })
})
