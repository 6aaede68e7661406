import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { errnos } from '../../lib/errno.ts'
import type { ErrnoName } from '../../lib/errno.ts'
import type { ErrorCode, ErrorReason, OneRegError } from '../../lib/errors.ts'
import { loadAddon } from '../../lib/kernel/addon.ts'
import { Host } from '../../lib/kvm/host.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { loadOneRegState, saveOneRegState } from '../../lib/timebase/move-one-reg.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { parseTimebase } from '../../lib/timebase/state.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { cpuTimebase, decode, encode, readQemuStream, spapr } from '../../lib/vmstate/index.ts'
import { readDocument, root } from '../support/markdown.ts'

const NAME = 'docs/troubleshooting.md'
const page = readFileSync(path.join(root, NAME), 'utf8')
const { headings } = readDocument(NAME)

/** A guest of two vCPUs on a model that can be told to fail. */
class Guest {
  readonly kernel = new FailingKernel(new SoftwareKernel())
  readonly host = new Host(this.kernel)
  readonly vcpus: readonly [Vcpu, Vcpu]

  constructor() {
    const vm = this.host.createVm()
    this.vcpus = [vm.createVcpu(0), vm.createVcpu(1)]
  }
}

const frequency = { tb_freq: 512_000_000 }
const bytes = encode(cpuTimebase, {
  timebase: 1n,
  tb_offset: 0n,
  time_of_the_day: 0n,
  ...frequency,
})

/** For each code of this library a call that ends with it. */
const ending: Readonly<Record<ErrorCode, (guest: Guest) => unknown>> = {
  ERR_KVM_UNAVAILABLE: ({ kernel }) => {
    kernel.fail({ errno: 'ENOENT', operation: 'open' })
    return new Host(kernel)
  },
  ERR_KVM_CLOSED: ({ host, vcpus }) => {
    host.close()
    return vcpus[0].get('DAR')
  },
  ERR_NO_VCPUS: () => saveTimebase([]),
  ERR_VCPUS_MISMATCH: ({ vcpus }) => saveTimebase([vcpus[0], new Guest().vcpus[1]]),
  ERR_VCPU_HELD: ({ vcpus }) => {
    void loadTimebase(vcpus, saveTimebase(vcpus), { downtime: 'freeze', align: true })
    return vcpus[0].snapshot()
  },
  ERR_TIMEBASE_FREQUENCY: ({ vcpus }) =>
    loadTimebase(vcpus, { ...saveTimebase(vcpus), timebaseFrequency: 33_333_333n }),
  ERR_TIMEBASE_DIVERGED: ({ vcpus }) => {
    vcpus[1].set('TB_OFFSET', 1n << 24n)
    return saveTimebase(vcpus)
  },
  ERR_TIMEBASE_DOWNTIME: ({ vcpus }) =>
    loadTimebase(vcpus, { ...saveTimebase(vcpus), timeOfDayNs: 0n }, { maxDowntimeNs: 1n }),
  ERR_TIMEBASE_CLOCK: ({ vcpus }) =>
    loadTimebase(vcpus, { ...saveTimebase(vcpus), timeOfDayNs: 2n ** 62n }, { maxDowntimeNs: 1n }),
  ERR_TIMEBASE_NOT_APPLIED: ({ kernel, vcpus }) => {
    const state = saveTimebase(vcpus)
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', register: 'DEC_EXPIRY' })
    return loadTimebase(vcpus, state)
  },
  ERR_TIMEBASE_NOT_REACHED: ({ kernel, vcpus }) => {
    const state = saveTimebase(vcpus)
    kernel.fail({ errno: 'ENOSYS', operation: 'mftb' })
    return loadTimebase(vcpus, state, { downtime: 'freeze', align: true })
  },
  ERR_RESTORE_INCOMPLETE: ({ kernel, vcpus }) => {
    const snapshot = vcpus[0].snapshot()
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG' })
    return vcpus[0].restore(snapshot)
  },
  ERR_ONE_REG_NOT_LOADED: ({ kernel, vcpus }) => {
    const state = saveOneRegState(vcpus)
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG' })
    return loadOneRegState(vcpus, state)
  },
  ERR_STATE_VERSION: () => parseTimebase('{"format":"kvm-ppc-onereg/timebase","version":2}'),
  ERR_STATE_FORMAT: () => parseTimebase('{}'),
  ERR_VMSTATE_FORMAT: () => decode(spapr, Buffer.alloc(17)),
  ERR_VMSTATE_TRUNCATED: () => decode(cpuTimebase, bytes.subarray(1), { destination: frequency }),
  ERR_VMSTATE_VERSION: () => decode(cpuTimebase, bytes, { versionId: 2, destination: frequency }),
  ERR_VMSTATE_MISMATCH: () => decode(cpuTimebase, bytes, { destination: { tb_freq: 1 } }),
  ERR_VMSTATE_MISSING: () => encode(spapr, {}),
  ERR_VMSTATE_UNSUPPORTED: () => readQemuStream(upTo(0x01, 'vfio')),
  ERR_VMSTATE_LIMIT: () => readQemuStream(endlessDevice()),
}

/** A stream of QEMU's up to its first section, which is of this type and name. */
function upTo(type: number, name: string): Buffer {
  const machine = 'pseries-3.1'
  return Buffer.concat([
    Buffer.from('5145564d00000003', 'hex'),
    Buffer.from([0x07, 0, 0, 0, machine.length]),
    Buffer.from(machine),
    Buffer.from([type, 0, 0, 0, 1, name.length]),
    Buffer.from(name),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 2]),
  ])
}

/** A device of which nothing says how long it is. */
async function* endlessDevice(): AsyncGenerator<Buffer> {
  yield await Promise.resolve(upTo(0x04, 'timer'))
  for (;;) yield Buffer.alloc(1 << 20)
}

/** For each reason a call that ends with it. */
const reasons: Readonly<Record<ErrorReason, (guest: Guest) => unknown>> = {
  'no-device': opening('ENOENT'),
  'no-permission': opening('EACCES'),
  'no-driver': opening('ENODEV'),
  'not-opened': opening('EMFILE'),
  'not-kvm': ({ kernel }) => {
    kernel.fail({ errno: 'ENOTTY', operation: 'KVM_CHECK_EXTENSION' })
    return new Host(kernel)
  },
  'no-one-reg': ({ kernel }) => {
    vi.spyOn(kernel, 'checkExtension').mockReturnValue(0)
    return new Host(kernel)
  },
  'no-addon': () => loadAddon('/nonexistent'),
  'no-timebase-offset': () => {
    const kernel = new SoftwareKernel({ without: ['TB_OFFSET'] })
    return saveTimebase([new Host(kernel).createVm().createVcpu(0)])
  },
  'no-timebase': ({ host, kernel }) => {
    kernel.fail({ errno: 'ENOSYS', operation: 'mftb' })
    return host.timebase()
  },
  'unsteady-timebase': ({ host, kernel }) => {
    vi.spyOn(kernel, 'sample').mockImplementation((into) => {
      into[2] = 2n ** 63n
      return 0
    })
    return host.sample()
  },
  hosts: ({ vcpus }) => saveTimebase([vcpus[0], new Guest().vcpus[1]]),
  vms: ({ host, vcpus }) => saveTimebase([vcpus[0], host.createVm().createVcpu(1)]),
  repeated: ({ vcpus }) => saveTimebase([vcpus[0], vcpus[0]]),
  missing: ({ vcpus }) => loadTimebase([vcpus[0]], saveTimebase(vcpus)),
}

function opening(errno: ErrnoName): (guest: Guest) => Host {
  return ({ kernel }) => {
    kernel.fail({ errno, operation: 'open' })
    return new Host(kernel)
  }
}

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  return undefined
}

async function codeOf(call: () => unknown): Promise<unknown> {
  return ((await errorOf(call)) as { code?: unknown } | undefined)?.code
}

describe(NAME, () => {
  it.each(Object.entries(ending))(
    'has a heading for %s, which a call ends with',
    // Reading until the limit takes seconds.
    { timeout: 60_000 },
    async (code, call) => {
      expect(await codeOf(() => call(new Guest()))).toBe(code)
      expect(headings).toContain(code.toLowerCase())
    },
  )

  it.each(Object.keys(errnos))(
    'has a row for %s, which a call of the kernel ends with',
    async (errno) => {
      const { kernel, host } = new Guest()
      kernel.fail({ errno: errno as ErrnoName, operation: 'KVM_CREATE_VM', times: 1000 })
      expect(await codeOf(() => host.createVm())).toBe(errno)
      expect(page).toMatch(new RegExp(`^\\| \`${errno}\` +\\| \\w`, 'm'))
    },
  )

  const ofNode: [string, (vcpu: Vcpu) => unknown][] = [
    [
      'ERR_INVALID_ARG_TYPE',
      (vcpu) => {
        vcpu.set('DAR', 1 as never)
      },
    ],
    ['ERR_INVALID_ARG_VALUE', (vcpu) => vcpu.get('dar' as never)],
    [
      'ERR_OUT_OF_RANGE',
      (vcpu) => {
        vcpu.set('DAR', -1n)
      },
    ],
    ['ABORT_ERR', (vcpu) => vcpu.getAsync('DAR', { signal: AbortSignal.abort() })],
  ]
  it.each(ofNode)('has a row for %s, which a call ends with', async (code, call) => {
    expect(await codeOf(() => call(new Guest().vcpus[0]))).toBe(code)
    expect(page).toMatch(new RegExp(`^\\| \`${code}\` +\\| \\w`, 'm'))
  })

  it.each(Object.entries(reasons))('has a row for the reason %s, of %s', async (reason, call) => {
    const error = await errorOf(() => call(new Guest()))
    expect((error as OneRegError).reason).toBe(reason)
    expect(page).toMatch(new RegExp(`^\\| \`${reason}\` +\\| \\w`, 'm'))
  })

  it('has all the codes that are in the code, and no others', () => {
    const names = readdirSync(path.join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    const sources = names.filter((name) => name.endsWith('.ts'))
    const all = sources
      .map((name) => readFileSync(path.join(root, 'lib', name), 'utf8'))
      .flatMap((source) => [
        ...source.matchAll(/'(ERR_[A-Z_]+)'/g),
        ...source.matchAll(/code: '(KVM_PPC_[A-Z_]+)'/g),
      ])
      .map(([, code = '']) => code)
    const onPage = page.matchAll(/^(?:### |\| `)(ERR_[A-Z_]+|KVM_PPC_[A-Z_]+)/gm)
    expect(new Set(Array.from(onPage, ([, code]) => code))).toEqual(new Set(all))
  })
})

describe('docs/migration.md', () => {
  const migration = readFileSync(path.join(root, 'docs/migration.md'), 'utf8')
  const [, section = ''] = /\n## When a move fails\n([^]*?)\n## /.exec(migration) ?? []
  const rows = section.split('\n').filter((line) => line.startsWith('| '))
  const codes = Object.keys(ending).filter((code) => !code.startsWith('ERR_VMSTATE_'))

  it.each([...codes, ...Object.keys(reasons)])('has an action for %s', (name) => {
    const row = rows.find((line) => line.split('|')[1]?.includes(`\`${name}\``))
    expect(row?.split('|')[3]?.trim()).toMatch(/\w/)
  })

  it('says that a guest without an answer stays stopped', () => {
    expect(section).toMatch(/\| \*\*none\*\*.*\| \*\*it must stay stopped\*\*.*run twice/)
  })
})
