import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { checkKind } from '../../lib/cli/kvm-kind.ts'
import { kvmKind } from '../../lib/kvm/this-machine.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'kvm-kind-'))
})
afterEach(() => {
  rmSync(root, { recursive: true })
})

/** Makes the files of a machine. */
function machine(platform: string, nested?: string): void {
  mkdirSync(path.join(root, 'proc'))
  writeFileSync(path.join(root, 'proc/cpuinfo'), `cpu\t\t: POWER10\nplatform\t: ${platform}\n`)
  if (nested === undefined) return
  const parameters = path.join(root, 'sys/module/kvm_hv/parameters')
  mkdirSync(parameters, { recursive: true })
  writeFileSync(path.join(parameters, 'nested'), `${nested}\n`)
}

const host = (nestedHv: number, backend: 'kvm' | 'software' = 'kvm') => ({
  backend,
  checkExtension: (extension: number) => (extension === 160 ? nestedHv : 1),
})

it.each([
  ['PowerNV', 'Y', 1, 'bare-metal'],
  ['PowerNV', 'N', 0, 'bare-metal'],
  ['pSeries', 'Y', 1, 'nested-v1'],
  ['pSeries', 'Y', 0, 'nested-v2'],
  ['pSeries', 'N', 0, null],
  ['pSeries', undefined, 1, null],
] as const)(
  'on %s with nested %s and capability 160 %s it is %s',
  (platform, nested, cap, kind) => {
    machine(platform, nested)
    expect(kvmKind(host(cap), root)).toBe(kind)
  },
)

it('is not known of the model, and not spoken of', () => {
  machine('pSeries', 'Y')
  expect(kvmKind(host(1, 'software'), root)).toBeNull()
  expect(checkKind(host(1, 'software'), null)).toEqual([])
})

it('is told with what follows from it', () => {
  expect(checkKind(host(0), 'nested-v2')).toMatchObject([
    { name: 'kind of KVM', status: 'note', found: /one TB_OFFSET.*before inheritTimebase/ },
  ])
  expect(checkKind(host(0), 'nested-v1')[0]?.found).toMatch(/each vCPU keeps/)
  expect(checkKind(host(0), null)[0]?.found).toMatch(/^not known/)
})
