import { CallQueue } from './call-queue.ts'
import type { Kernel } from '../kernel/kernel.ts'

/** A file that this library opened. */
export interface Opened {
  readonly kernel: Kernel
  /** The descriptor whose closing closes this one too. */
  readonly parent?: Descriptor
}

/**
 * A file descriptor, apart from the Host, Vm or Vcpu by which users hold it: it can still be closed
 * after that object was garbage-collected, and so must not refer to it.
 *
 * The descriptors that this library opened form a tree: closing a host closes its VMs, and closing a
 * VM closes its vCPUs.
 */
export class Descriptor {
  /** The name for messages, such as `'vCPU 3'`. */
  readonly name: string
  /** The calls off the JavaScript thread. The file stays open until they have ended. */
  readonly calls: CallQueue
  readonly #opened: Opened | undefined
  /** The descriptor that opened the file, if this one borrows a file that this library opened. */
  readonly #lender: Descriptor | undefined
  /** The result of {@link Kernel.fileId} when the file was opened. */
  readonly #fileId: number
  readonly #children = new Set<Descriptor>()
  #fd: number | undefined

  /**
   * @param owner the Host, Vm or Vcpu by which users hold it
   * @param name for messages
   * @param fd the file descriptor
   * @param opened undefined for a borrowed file, which is never closed here
   * @param other another descriptor of the same file, if one is known
   */
  constructor(owner: object, name: string, fd: number, opened?: Opened, other?: Descriptor) {
    this.name = name
    this.calls = other?.calls ?? new CallQueue()
    this.#fd = fd
    this.#opened = opened
    this.#lender = other === undefined || other.#opened !== undefined ? other : other.#lender
    this.#fileId = opened?.kernel.fileId?.(fd) ?? 0
    if (opened === undefined) return
    if (opened.parent) opened.parent.#children.add(this)
    owners.register(owner, this, this)
  }

  /** The file descriptor; undefined after it or its lender was closed, since another file may have the number. */
  get fd(): number | undefined {
    return this.#lender === undefined || this.#lender.#fd !== undefined ? this.#fd : undefined
  }

  /** Whether `fd` is this descriptor and still belongs to the same file, as far as the kernel can tell. */
  isStill(fd: number): boolean {
    if (this.fd !== fd) return false
    const kernel = this.#opened?.kernel
    return kernel?.fileId === undefined || kernel.fileId(fd) === this.#fileId
  }

  /** Closes the files that were opened through this one, and then this one. Closing twice does nothing. */
  close(): void {
    this.#close((fd, { kernel }) => kernel.close(fd))
  }

  /**
   * Closes the file after its owner was garbage-collected, if the number still belongs to that file. The
   * user may have closed the number directly, and then it may belong to another file, of this library or not.
   */
  closeIfStillOurs(): void {
    this.#close((fd, { kernel }, fileId) => {
      if (fileId > 0 && kernel.fileId?.(fd) === fileId) kernel.close(fd)
    })
  }

  #close(closeFile: (fd: number, opened: Opened, fileId: number) => void): void {
    const fd = this.#fd
    if (fd === undefined) return
    for (const child of this.#children) child.#close(closeFile)
    // Forgotten before it is closed, since another file may get the number immediately afterwards.
    this.#fd = undefined
    const opened = this.#opened
    if (opened === undefined) return
    if (opened.parent) opened.parent.#children.delete(this)
    owners.unregister(this)
    this.calls.whenIdle(() => {
      closeFile(fd, opened, this.#fileId)
    })
  }
}

/** For console.log: `(kvm, fd 7)`, or `(kvm, closed)`. */
export function inWords({ fd }: Descriptor, { kernel }: { readonly kernel: Kernel }): string {
  return `(${kernel.backend}, ${fd === undefined ? 'closed' : `fd ${fd}`})`
}

const NAMED_AT_MOST = 4

/** The descriptors whose owners were garbage-collected, for one warning: all vCPUs of a guest go together. */
let unclosed: Descriptor[] = []

const owners = new FinalizationRegistry<Descriptor>((descriptor) => {
  if (unclosed.push(descriptor) === 1) process.nextTick(closeUnclosed)
})

function closeUnclosed(): void {
  // By number, which is mostly the order in which they were opened.
  const found = unclosed.sort((one, other) => (one.fd ?? 0) - (other.fd ?? 0))
  unclosed = []
  const names = found.flatMap(({ name, fd }) => (fd === undefined ? [] : `${name} (fd ${fd})`))
  for (const descriptor of found) descriptor.closeIfStillOurs()
  if (names.length === 0) return
  const more = names.length - NAMED_AT_MOST
  const list = [...names.slice(0, NAMED_AT_MOST), ...(more > 0 ? [`${more} more`] : [])].join(', ')
  process.emitWarning(
    `Garbage-collected before it was closed: ${list}. ` +
      "It is closed now, unless its number may be another file's. " +
      'Garbage collection can come late or never: call close(), or declare it with "using"',
    { type: 'KvmPpcWarning', code: 'KVM_PPC_UNCLOSED' },
  )
}
