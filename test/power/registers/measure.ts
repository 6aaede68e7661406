import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { Host, NativeKernel, registers } from '../../../lib/index.ts'
import type { RegisterName, Vcpu } from '../../../lib/index.ts'
import { TestGuest } from '../guest/index.ts'

/**
 * Measures what KVM does on this host with each register of the table: whether it can be read, what a write
 * leaves, and whether a run of the guest changes it.
 */

/** The measurements of a register. */
export interface MeasuredRegister {
  readonly readable: boolean
  /** `all` bits of what is written are kept, or `some`; `none` if every write is refused. */
  readonly writable: 'all' | 'some' | 'none'
  /** The values before and after a run, in hexadecimal, if they differ. */
  readonly run?: readonly [before: string, after: string]
}

const names = Object.keys(registers) as RegisterName[]
const host = new Host(new NativeKernel())

/** Registers that decide how the guest runs, and so keep their values for the run. */
const kept =
  /^(LPCR(_64)?|ARCH_COMPAT|ONLINE|VPA_\w+|TB_OFFSET|DEC_EXPIRY|PSSCR|PTCR|MMCR\w+|DAWRX?1?|CIABR|DABRX?|HFSCR|HIOR|PMC\d)$/

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).reverse().toString('hex')
}

function read(vcpu: Vcpu, name: RegisterName): string | undefined {
  const { id, width } = registers[name]
  const bytes = new Uint8Array(width / 8)
  return host.kernel.getOneReg(vcpu.fd, id, bytes) < 0 ? undefined : hex(bytes)
}

/** Writes the same byte to each byte of a register: whether the kernel took it. */
function write(vcpu: Vcpu, name: RegisterName, byte: number): boolean {
  const { id, width } = registers[name]
  return host.kernel.setOneReg(vcpu.fd, id, new Uint8Array(width / 8).fill(byte)) === 0
}

function writable(name: RegisterName): MeasuredRegister['writable'] {
  using vm = host.createVm()
  const vcpu = vm.createVcpu(0)
  const [ones, fives] = [0xff, 0x55].map((byte) => {
    const size = registers[name].width / 8
    return write(vcpu, name, byte) && read(vcpu, name) === hex(new Uint8Array(size).fill(byte))
  })
  if (ones === true && fives === true) return 'all'
  // Zero is taken by some registers that take nothing else.
  return [0xff, 0x55, 0].some((byte) => write(vcpu, name, byte)) ? 'some' : 'none'
}

/** The registers that a run changes, with their values before and after it. */
function changes(readable: readonly RegisterName[]): Map<RegisterName, [string, string]> {
  using guest = new TestGuest(host, 'ask', 1)
  const [vcpu] = guest.vcpus
  if (vcpu === undefined) throw new Error('no vCPU')
  readable.forEach((name, index) => {
    if (!kept.test(name)) write(vcpu, name, 0x11 + (index % 200))
  })
  // These say which interface is used; watchpoints of no accesses do not stop the guest.
  for (const name of ['DAWRX', 'DAWRX1', 'WORT'] as const) vcpu.set(name, 0x1234_5678_0000_0000n)
  const before = readable.map((name) => read(vcpu, name))
  guest.ask(0)
  return new Map(
    readable.flatMap((name, index) => {
      const [was = '', is = ''] = [before[index], read(vcpu, name)]
      return was === is ? [] : [[name, [was, is]]]
    }),
  )
}

using vm = host.createVm()
const scratch = vm.createVcpu(0)
const readable = names.filter((name) => read(scratch, name) !== undefined)
const run = changes(readable)
const measured: Record<string, MeasuredRegister> = {}
for (const name of readable) {
  const changed = run.get(name)
  measured[name] = {
    readable: true,
    writable: writable(name),
    ...(changed === undefined ? {} : { run: changed }),
  }
}
writeFileSync(path.join(process.env['OUT'] ?? '', 'registers.json'), JSON.stringify(measured))
process.exit(0)
