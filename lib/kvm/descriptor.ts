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
  /** For messages: `'vCPU 3'`. */
  readonly name: string
  /** The calls off the JavaScript thread. The file stays open until they have ended. */
  readonly calls: CallQueue
  readonly #opened: Opened | undefined
  /** The descriptor that opened the file, where this one borrows a file of this library. */
  readonly #lender: Descriptor | undefined
  /** As {@link Kernel.fileId} had it when the file was opened. */
  readonly #fileId: number
  readonly #children = new Set<Descriptor>()
  #fd: number | undefined

  /**
   * @param owner the Host, Vm or Vcpu by which users hold it
   * @param name for messages
   * @param fd the file descriptor
   * @param opened undefined for a file that is borrowed, which is never closed here
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

  /** The file descriptor; undefined once it is closed, or its lender is: the number may be another file's. */
  get fd(): number | undefined {
    return this.#lender === undefined || this.#lender.#fd !== undefined ? this.#fd : undefined
  }

  /** Whether its number still belongs to the file that it was given for, as far as the kernel tells. */
  isStill(fd: number): boolean {
    if (this.fd !== fd) return false
    const kernel = this.#opened?.kernel
    return kernel?.fileId === undefined || kernel.fileId(fd) === this.#fileId
  }

  /** Closes what was opened through it, and the file. Closing twice does nothing. */
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
    // Forgotten before it is closed: the number may belong to another file immediately afterwards.
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

const NAMED_AT_MOST = 4

/** The descriptors whose owners were collected, gathered for one warning: a guest goes with all its vCPUs. */
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
      'Nobody knows when that happens: call close(), or declare it with "using"',
    { type: 'KvmPpcWarning', code: 'KVM_PPC_UNCLOSED' },
  )
}
