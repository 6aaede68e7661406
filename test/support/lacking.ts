import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'vitest'
import { loadAddon } from '../../lib/kernel/addon.ts'

const KVM_CAP_ONE_REG = 70

const built = ['Release', 'Debug'].map((kind) =>
  path.resolve(import.meta.dirname, '../../build', kind, 'kvm_ppc_onereg.node'),
)

/** Says what this machine lacks for the tests of the addon, or is undefined. */
export const addonLacks =
  process.platform !== 'linux'
    ? 'Linux'
    : built.some((file) => existsSync(file))
      ? undefined
      : 'the addon: npm run build:addon'

const X86 = 'an x86 machine; on POWER it is test/kernel/conformance that runs on real KVM'
const NO_POWER_HOST = 'a machine that is not a POWER host'

/** The reason why tests of KVM_GET_ONE_REG and KVM_SET_ONE_REG on a real x86 kernel cannot run here, or undefined. */
export const x86KvmLacks = addonLacks ?? whatX86KvmLacks()

function whatX86KvmLacks(): string | undefined {
  if (process.arch !== 'x64') return X86
  const addon = loadAddon()
  const fd = addon.open('/dev/kvm')
  if (fd < 0) {
    return 'a /dev/kvm with KVM_CAP_ONE_REG: load kvm_intel or kvm_amd and run as a user of group kvm'
  }
  const oneReg = addon.checkExtension(fd, KVM_CAP_ONE_REG)
  addon.close(fd)
  return oneReg > 0
    ? undefined
    : 'a /dev/kvm with KVM_CAP_ONE_REG, which x86 has from Linux 6.18 on'
}

/** The reason why tests of real descriptors cannot run here, or undefined: they need KVM, on x86 or POWER. */
export const kvmLacks = process.arch === 'ppc64' ? addonLacks : x86KvmLacks

/** The reason why tests that watch system calls cannot run here, or undefined. */
export const straceLacks =
  kvmLacks ??
  (spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0
    ? undefined
    : 'strace, and leave to trace a child: apt-get install strace')

/** The reason why a test for machines other than POWER hosts cannot run here, or undefined. */
export const otherMachineLacks = process.arch === 'ppc64' ? NO_POWER_HOST : undefined

/** Whether the tests are only for machines other than POWER hosts, so that they are not registered on one. */
function isOtherMachines(lacking: string | undefined): boolean {
  return process.arch === 'ppc64' && (lacking === X86 || lacking === NO_POWER_HOST)
}

/** Tests that are skipped, saying so, where something is lacking. */
export function describeUnless(
  lacking: string | undefined,
  title: string,
  tests: () => void,
): void {
  if (isOtherMachines(lacking)) return
  describe.skipIf(lacking !== undefined)(titleOf(title, lacking), tests)
}

export function itUnless(
  lacking: string | undefined,
  title: string,
  test: () => void | Promise<void>,
  timeoutMs?: number,
): void {
  if (isOtherMachines(lacking)) return
  it.skipIf(lacking !== undefined)(titleOf(title, lacking), test, timeoutMs)
}

/** Prints the reasons, because vitest's usual reporter only counts skipped tests. */
function titleOf(title: string, lacking: string | undefined): string {
  if (lacking === undefined) return title
  console.log(`Skipped: ${title}. It needs ${lacking}`)
  return `${title} (skipped: needs ${lacking})`
}
