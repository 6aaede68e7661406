import { existsSync } from 'node:fs'
import type { OneRegBatch } from '../../lib/kernel/batch.ts'
import { Host } from '../../lib/kvm/host.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { registers } from '../../lib/registers.ts'
import { parseTimebase, serializeTimebase } from '../../lib/timebase/state.ts'

// Moves a timebase from one guest to another, between two marker calls that the test finds in strace's
// output.

/** Real KVM on x86, with a register that keeps its value instead of TB_OFFSET. */
class BorrowedRegister extends NativeKernel {
  /** IA32_KERNEL_GS_BASE: any value that is a sign-extended address. */
  static readonly #id = 0x2030_0002_c000_0102n

  override timebaseFrequency(): bigint {
    return 512_000_000n
  }

  override getOneRegs(batch: OneRegBatch): number {
    return this.#translated(batch, () => super.getOneRegs(batch))
  }

  override setOneRegs(batch: OneRegBatch): number {
    return this.#translated(batch, () => super.setOneRegs(batch))
  }

  #translated(batch: OneRegBatch, call: () => number): number {
    const asked = batch.ids.slice()
    asked.forEach((id, index) => {
      if (id === registers.TB_OFFSET.id) batch.ids[index] = BorrowedRegister.#id
    })
    const result = call()
    batch.ids.set(asked)
    return result
  }
}

function mark(what: string): void {
  existsSync(`/marks/${what}`)
}

// The second move is the one to trace: by then all modules are loaded and V8 has allocated its memory.
move()
move()

function move(): void {
  mark('kernel')
  const kernel = process.arch === 'ppc64' ? new NativeKernel() : new BorrowedRegister()
  mark('open')
  const host = new Host(kernel)
  const [source, target] = [host.createVm(), host.createVm()]
  const from = [source.createVcpu(0), source.createVcpu(1)]
  const to = [target.createVcpu(0), target.createVcpu(1)]
  const plugged = target.createVcpu(2)
  mark('move')
  const text = serializeTimebase(saveTimebase(from))
  loadTimebase(to, parseTimebase(text))
  inheritTimebase(to[0] ?? plugged, plugged)
  mark('close')
  host.close()
  mark('end')
}
