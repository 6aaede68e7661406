import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { OneRegBatch } from '../../../lib/kernel/batch.ts'
import type { Kernel } from '../../../lib/kernel/kernel.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { registerNames, registers, registerSize } from '../../../lib/registers.ts'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import { thisKind } from './this-kind.ts'

const RUNS = 100
const OPERATIONS = 100
const KVM_CAP_NR_VCPUS = 9

const native = new NativeKernel()
const kind = thisKind()

/** The files that a run has on both kernels. */
const files = ['kvm', 'vm', 'vcpu0', 'vcpu1', 'other', 'closed'] as const

type File = (typeof files)[number]
type Fds = Record<File, number>

/** Wrong ones besides those of the table: unknown, of another size, of another architecture. */
const ids = [
  ...registerNames.map((name) => registers[name].id),
  0x1030_0000_0000_00ffn,
  0x1020_0000_0000_009cn,
  0x1040_0000_0000_009cn,
  0x1030_0000_0000_000dn,
  0x2030_0000_0000_009cn,
  0x0030_0000_0000_009cn,
  0x1000_0000_0000_009cn,
]

interface Operation {
  readonly set: boolean
  readonly entries: readonly { readonly file: File; readonly id: bigint; readonly value: bigint }[]
}

const value = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
  fc.bigInt({ min: 0n, max: 4096n }),
  fc.constantFrom(0n, (1n << 128n) - 1n, 0x80n, 0x0f00_0004n, 0x0060_0000_0000_0000_1000n),
)
const file = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom<File>('vcpu0', 'vcpu1') },
  { weight: 1, arbitrary: fc.constantFrom<File>(...files) },
)
const operation: fc.Arbitrary<Operation> = fc.record({
  set: fc.boolean(),
  entries: fc.array(fc.record({ file, id: fc.constantFrom(...ids), value }), {
    minLength: 1,
    maxLength: 4,
  }),
})

function open(kernel: Kernel): Fds {
  const kvm = kernel.open('/dev/kvm')
  const vm = kernel.createVm(kvm, 0)
  return {
    kvm,
    vm,
    vcpu0: kernel.createVcpu(vm, 0),
    vcpu1: kernel.createVcpu(vm, 1),
    other: kernel.open('/dev/null'),
    closed: 1_000_000,
  }
}

function close(kernel: Kernel, fds: Fds): void {
  for (const name of files) if (name !== 'closed') kernel.close(fds[name])
}

/** Each entry's result, and what it holds then. One entry is a call of its own, several are a batch. */
function carryOut(kernel: Kernel, fds: Fds, { set, entries }: Operation): string[] {
  const batch = new OneRegBatch(entries.length)
  entries.forEach((entry, index) => {
    batch.fds[index] = fds[entry.file]
    batch.ids[index] = entry.id
    batch.set64(index, entry.value & 0xffff_ffff_ffff_ffffn)
    const bytes = batch.bytes(index, 16)
    new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(8, entry.value >> 64n, true)
  })
  const [only] = entries
  if (entries.length === 1 && only !== undefined) {
    const bytes = batch.bytes(0, registerSize(only.id))
    const { id } = only
    const fd = fds[only.file]
    batch.results[0] = set ? kernel.setOneReg(fd, id, bytes) : kernel.getOneReg(fd, id, bytes)
  } else if (set) {
    kernel.setOneRegs(batch)
  } else {
    kernel.getOneRegs(batch)
  }
  return entries.map((entry, index) => {
    const held = Buffer.from(batch.bytes(index, registerSize(entry.id))).toString('hex')
    return `${set ? 'set' : 'get'} ${entry.file} ${entry.id.toString(16)}: ${batch.results[index] ?? ''} ${held}`
  })
}

const everything: Operation = {
  set: false,
  entries: (['vcpu0', 'vcpu1'] as const).flatMap((file) =>
    ids.map((id) => ({ file, id, value: 0n })),
  ),
}

/** Both set DEC_EXPIRY to their timebase of now, which is not the same now. */
function withoutNow(answers: readonly string[]): string[] {
  const expiry = registers.DEC_EXPIRY.id.toString(16)
  return answers.map((answer) =>
    answer.startsWith('get') && answer.includes(` ${expiry}: 0 `) ? `${expiry} is there` : answer,
  )
}

describe(`the model and Linux on ${kind.machine}, side by side`, () => {
  const opened: { kernel: Kernel; fds: Fds }[] = []

  afterAll(() => {
    for (const { kernel, fds } of opened) close(kernel, fds)
  })

  it('has the same capabilities, but for how many processors are on', () => {
    const all = [native, new SoftwareKernel(kind)].map((kernel) => {
      const fds = open(kernel)
      opened.push({ kernel, fds })
      const numbers = Array.from({ length: 1000 }, (_, number) => number)
      return numbers
        .filter((number) => number !== KVM_CAP_NR_VCPUS)
        .map((number) =>
          [fds.kvm, fds.vm].map((fd) => `${number}: ${kernel.checkExtension(fd, number)}`),
        )
    })
    expect(all[1]).toEqual(all[0])
  })

  it(`gives the same results and errnos in ${RUNS * OPERATIONS} random operations`, () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: OPERATIONS, maxLength: OPERATIONS }), (all) => {
        const kernels = [native, new SoftwareKernel(kind)]
        const [real = [], modelled = []] = kernels.map((kernel) => {
          const fds = open(kernel)
          opened.push({ kernel, fds })
          const answers = [...all, everything].flatMap((each) => carryOut(kernel, fds, each))
          close(kernel, fds)
          opened.pop()
          return withoutNow(answers)
        })
        expect(modelled).toEqual(real)
      }),
      // KVM_PPC_SEED=… npm run power -- test tries other ones.
      { numRuns: RUNS, seed: Number(process.env['KVM_PPC_SEED'] ?? 1) },
    )
  })
})
