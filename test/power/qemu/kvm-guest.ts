import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { CONSOLE_ADDRESS, printingProgram } from '../../support/qemu-guest.ts'
import { Qmp } from '../../support/qmp.ts'

const READING_BYTES = 8

/** How many readings a guest prints at least before anything else is done with it. */
const SOME_READINGS = 100
const PATIENCE_MS = 60_000

/**
 * Options for capabilities that KVM in an LPAR does not have, and without which QEMU refuses to start: large
 * pages in a hash page table, and protection against speculation.
 */
const lacking = [
  'cap-hpt-max-page-size=4096',
  'cap-cfpc=broken',
  'cap-sbbc=broken',
  'cap-ibs=broken',
  'cap-ccf-assist=off',
  'cap-ail-mode-3=off',
  'cap-dawr1=off',
]

/** The timebases that the guest has printed, in ticks. */
export interface Printed {
  readonly count: number
  readonly last: bigint
  /** By how much a reading was below the one before, for each that was. */
  readonly backwardSteps: readonly bigint[]
}

/** A QEMU that runs a guest by KVM, which prints its timebase without end. */
export class KvmGuest {
  readonly #qemu: Qmp
  readonly #console: string
  readonly #trace: string

  private constructor(folder: string) {
    this.#console = path.join(folder, 'console')
    this.#trace = path.join(folder, 'trace')
    const kernel = path.join(folder, 'kernel')
    writeFileSync(kernel, printingProgram())
    this.#qemu = new Qmp('qemu-system-ppc64', [
      ...['-M', ['pseries', 'accel=kvm', 'x-vof=on', ...lacking].join()],
      ...['-cpu', 'host', '-m', '256M', '-nodefaults', '-display', 'none', '-kernel', kernel],
      ...['-chardev', `file,id=console,path=${this.#console}`],
      ...['-device', `spapr-vty,chardev=console,reg=${CONSOLE_ADDRESS}`],
      ...['-trace', 'ppc_tb_adjust', '-D', this.#trace],
    ])
  }

  /** Starts it, and waits until it prints. */
  static async start(folder: string): Promise<KvmGuest> {
    const guest = new KvmGuest(folder)
    await guest.#qemu.execute('qmp_capabilities')
    await guest.#printsMore()
    return guest
  }

  /** QEMU's own version, such as `10.0.13`. */
  async version(): Promise<string> {
    const { qemu } = (await this.#qemu.execute('query-version')) as {
      qemu: { major: number; minor: number; micro: number }
    }
    return `${qemu.major}.${qemu.minor}.${qemu.micro}`
  }

  async stop(): Promise<void> {
    await this.#qemu.execute('stop')
  }

  async continue(): Promise<void> {
    await this.#qemu.execute('cont')
    await this.#printsMore()
  }

  async migrateInto(file: string): Promise<void> {
    await this.#qemu.migrateInto(file)
  }

  printed(): Printed {
    const readings = this.#readings()
    const backwardSteps: bigint[] = []
    readings.reduce((before, reading) => {
      if (reading < before) backwardSteps.push(before - reading)
      return reading
    }, 0n)
    return { count: readings.length, last: readings.at(-1) ?? 0n, backwardSteps }
  }

  /** The TB_OFFSET that QEMU asked the kernel for last, as it traces it, in ticks, u64. */
  askedOffset(): bigint {
    const [, offset] = /.* to (0x[0-9a-f]+), diff/s.exec(readFileSync(this.#trace, 'utf8')) ?? []
    if (offset === undefined) throw new Error('QEMU has traced no offset')
    return BigInt(offset)
  }

  kill(): void {
    this.#qemu.kill()
  }

  async #printsMore(): Promise<void> {
    const enough = this.#readings().length + SOME_READINGS
    for (let waited = 0; this.#readings().length < enough; waited += 10) {
      if (waited > PATIENCE_MS) throw new Error(`the guest prints nothing: ${this.#qemu.said}`)
      await wait(10)
    }
  }

  /** All that it has printed, in ticks. */
  #readings(): bigint[] {
    const bytes = existsSync(this.#console) ? readFileSync(this.#console) : Buffer.alloc(0)
    return Array.from({ length: Math.floor(bytes.length / READING_BYTES) }, (_, index) =>
      bytes.readBigUInt64BE(index * READING_BYTES),
    )
  }
}
