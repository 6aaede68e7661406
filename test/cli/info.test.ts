import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { unavailable } from '../../lib/errors.ts'
import { Host, openHost } from '../../lib/kvm/host.ts'
import { checkHost, checkRefusal } from '../../lib/cli/kvm-checks.ts'
import { checkModule, checkProcessor, checkWallClock } from '../../lib/cli/machine-checks.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import type { SoftwareKernelOptions } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { commandLine } from '../support/command-line.ts'
import { errorOf } from '../support/error-of.ts'
import { addonLacks, itUnless, otherMachineLacks, x86KvmLacks } from '../support/lacking.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'info-'))
})
afterEach(() => {
  rmSync(root, { recursive: true })
  vi.unstubAllEnvs()
})

/** Makes the files of /proc and /sys of a machine. */
function machine({ cpuinfo = '', modules = [] as string[] }): void {
  mkdirSync(path.join(root, 'proc'))
  writeFileSync(path.join(root, 'proc/cpuinfo'), cpuinfo)
  for (const name of modules) mkdirSync(path.join(root, 'sys/module', name), { recursive: true })
}

/** The /proc/cpuinfo of a partition. */
function cpuinfoOf(cpu: string, platform = 'pSeries'): string {
  return `processor\t: 0\ncpu\t\t: ${cpu}\nclock\t\t: 1000.000000MHz\n\ntimebase\t: 512000000\nplatform\t: ${platform}\n`
}

describe('the processor', () => {
  it.each([
    ['POWER7 (raw), altivec supported', 'ok'],
    ['POWER9 (architected), altivec supported', 'ok'],
    ['POWER10 (architected), altivec supported', 'ok'],
    ['Power11 (architected), altivec supported', 'ok'],
    ['POWER6 (raw), altivec supported', 'failed'],
    ['PPC970MP, altivec supported', 'warning'],
  ])('%s is %s', (cpu, status) => {
    machine({ cpuinfo: cpuinfoOf(cpu) })
    const check = checkProcessor(root, 'ppc64')
    expect(check).toMatchObject({ status, found: expect.stringContaining(cpu) as string })
    expect('remedy' in check).toBe(status !== 'ok')
  })

  it('is unknown where the kernel does not name it', () => {
    expect(checkProcessor(root, 'ppc64')).toMatchObject({ status: 'warning' })
  })

  it('has no timebase on other machines', () => {
    expect(checkProcessor(root, 'x64')).toMatchObject({ status: 'failed' })
  })
})

describe('the kernel module', () => {
  it.each([
    ['kvm_hv on bare metal', 'PowerNV', ['kvm', 'kvm_hv'], 'ok', /bare metal/],
    ['kvm_hv in a partition', 'pSeries', ['kvm', 'kvm_hv', 'kvm_pr'], 'ok', /partition/],
    ['kvm_pr alone', 'PowerNV', ['kvm', 'kvm_pr'], 'failed', /no TB_OFFSET/],
    ['none', 'pSeries', [], 'failed', /not loaded/],
  ])('with %s', (_, platform, modules, status, found) => {
    machine({ cpuinfo: cpuinfoOf('POWER9', platform), modules })
    const check = checkModule(root)
    expect(check).toMatchObject({ status, found: expect.stringMatching(found) as string })
    expect('remedy' in check).toBe(status !== 'ok')
  })
})

describe('the wall clock', () => {
  const clock = (state: number, maxErrorUs = 0) =>
    checkWallClock(() => ({
      clockState: (into) => {
        into[0] = BigInt(maxErrorUs)
        return state
      },
    }))

  it('is well if the kernel says that it is synchronised', () => {
    expect(clock(0, 12_345)).toMatchObject({ status: 'ok', found: /12\.3 ms/ })
    // TIME_INS: a leap second is to come.
    expect(clock(1)).toMatchObject({ status: 'ok' })
  })

  it('is a warning if it is not', () => {
    expect(clock(5, 16_000_000)).toMatchObject({ status: 'warning', remedy: /freeze/ })
  })

  it('is not judged where the kernel does not tell', () => {
    expect(clock(-1)).toMatchObject({ status: 'note', found: /EPERM/ })
    const check = checkWallClock(() => {
      throw unavailable('no-addon', 'no addon')
    })
    expect(check).toMatchObject({ status: 'note', found: /without the native addon/ })
  })

  itUnless(addonLacks, 'is told by this kernel', () => {
    expect(['ok', 'warning']).toContain(checkWallClock().status)
  })
})

describe('a kernel', () => {
  function statuses(options: SoftwareKernelOptions, arrange?: (kernel: FailingKernel) => void) {
    const kernel = new FailingKernel(new SoftwareKernel(options))
    using host = new Host(kernel)
    arrange?.(kernel)
    return Object.fromEntries(
      checkHost(host, host.sample()).map(({ name, status }) => [name, status]),
    )
  }

  it('with all registers is well', () => {
    expect(statuses({})).toMatchObject({ frequency: 'ok', TB_OFFSET: 'ok', DEC_EXPIRY: 'ok' })
  })

  it('without DEC_EXPIRY is one to be warned of', () => {
    expect(statuses({ without: ['DEC_EXPIRY'] })).toMatchObject({
      TB_OFFSET: 'ok',
      DEC_EXPIRY: 'warning',
    })
  })

  it('without TB_OFFSET cannot move a timebase', () => {
    const without = ['TB_OFFSET', 'DEC_EXPIRY'] as const
    expect(statuses({ without })).toMatchObject({ TB_OFFSET: 'failed' })
  })

  it('that makes no vCPU cannot either', () => {
    const checked = statuses({}, (kernel) => {
      kernel.fail({ operation: 'KVM_CREATE_VCPU', errno: 'ENOMEM' })
    })
    expect(checked).toMatchObject({ 'scratch vCPU': 'failed' })
  })

  it('with a mistake of ours in it is not blamed', () => {
    using host = new Host(
      new (class extends SoftwareKernel {
        override createVcpu(): number {
          throw new TypeError('oh')
        }
      })(),
    )
    expect(() => checkHost(host, host.sample())).toThrow(new TypeError('oh'))
  })

  it('that takes the offset and ignores it is broken', () => {
    using host = new Host(
      new (class extends SoftwareKernel {
        override setOneRegs() {
          return 0
        }
      })(),
    )
    const check = checkHost(host, host.sample()).find(({ name }) => name === 'TB_OFFSET')
    expect(check).toMatchObject({ status: 'failed', found: /broken/, remedy: /DD1/ })
  })
})

describe('what cannot be opened', () => {
  it('is named by what is missing', () => {
    const refusal = (device: string) =>
      checkRefusal(errorOf(() => openHost({ backend: 'software', device })))
    expect(refusal('/dev/none')).toMatchObject({
      name: '/dev/kvm',
      status: 'failed',
      found: /modprobe/,
    })
    expect(refusal('/dev/null')).toMatchObject({ name: 'KVM_CAP_ONE_REG', status: 'failed' })
    const addon = unavailable(
      'no-addon',
      'The native addon could not be loaded',
      new Error('no such file'),
    )
    expect(checkRefusal(addon)).toMatchObject({ name: 'native addon', status: 'failed' })
  })

  it('does not hide a mistake', () => {
    expect(() => checkRefusal(new TypeError('oh'))).toThrow('oh')
  })
})

// Not in a group, which on POWER would be empty.
itUnless(otherMachineLacks, 'info says that the model is one, and ends with 0', async () => {
  vi.stubEnv('KVM_PPC_BACKEND', '')
  const { status, stdout, stderr } = await commandLine(['info'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(/^- +backend +software: a model/m)
  expect(stdout).toMatch(/^ok +TB_OFFSET +works/m)
  expect(stdout).toMatch(/\nThe software model can move guest timebases/)
})

it('info fails with the model if the real kernel is required, and says what to do', async () => {
  vi.stubEnv('KVM_PPC_BACKEND', 'software')
  const { status, stdout } = await commandLine(['info', '--require', 'kvm'])
  expect(status).toBe(1)
  expect(stdout).toMatch(/^FAIL +backend +software: a model[^]*to do: run it on .*POWER Linux/m)
  expect(stdout).toMatch(/cannot move guest timebases\. Failed: backend\.\n$/)
  const asJson = await commandLine(['info', '--require', 'kvm', '--json'])
  expect(asJson.status).toBe(1)
  expect(JSON.parse(asJson.stdout)).toMatchObject({ ok: false, backend: 'software' })
  expect((await commandLine(['info', '--require', 'software'])).status).toBe(2)
})

itUnless(x86KvmLacks, 'info says what x86 lacks, and ends with 1', async () => {
  vi.stubEnv('KVM_PPC_BACKEND', 'kvm')
  const { status, stdout } = await commandLine(['info'])
  expect(status).toBe(1)
  expect(stdout).toMatch(/^FAIL +processor +x64/m)
  expect(stdout).toMatch(/^ok +KVM_CAP_ONE_REG +yes/m)
  expect(stdout).toMatch(/^FAIL +TB_OFFSET +missing\n +to do: /m)
  expect(stdout).toMatch(
    /cannot move guest timebases\. Failed: processor, frequency, TB_OFFSET, registers\.\n$/,
  )
})
