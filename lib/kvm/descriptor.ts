import { CallQueue } from './call-queue.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { forget, watch } from './unclosed.ts'

/** What is known of a file that this library opened. */
export interface Opened {
  readonly kernel: Kernel
  /** What {@link Kernel.describe} calls it, or how that begins; undefined if that could not be seen. */
  readonly file: string | undefined
  /** What closes it too when it is closed. */
  readonly parent?: Descriptor
}

/**
 * A file descriptor, apart from the host, VM or vCPU by which users hold it: so it can still be closed
 * once that is garbage, to which nothing here may lead back.
 *
 * Those that were opened here are a tree: with a host its VMs are closed, with a VM its vCPUs.
 */
export class Descriptor {
  /** For people: `'vCPU 3'`. */
  readonly name: string
  /** Calls off the JavaScript thread: the file stays open until they have ended. */
  readonly calls = new CallQueue()
  readonly #opened: Opened | undefined
  readonly #children = new Set<Descriptor>()
  #fd: number | undefined

  /**
   * @param owner the user's object
   * @param opened left out for a file that is borrowed, and so never closed
   */
  constructor(owner: object, name: string, fd: number, opened?: Opened) {
    this.name = name
    this.#fd = fd
    this.#opened = opened
    if (opened === undefined) return
    if (opened.parent) opened.parent.#children.add(this)
    watch(owner, this)
  }

  /** The number, until it is closed. */
  get fd(): number | undefined {
    return this.#fd
  }

  /** Closes what was opened through it, and the file. Closing twice does nothing. */
  close(): void {
    this.#close((fd, { kernel }) => kernel.close(fd))
  }

  /**
   * Closes long after the last use, when nobody has asked for it: if somebody has closed the numbers
   * themselves, other files may have got them, and are left alone. So is what cannot be seen.
   */
  closeIfStillOurs(): void {
    this.#close((fd, { kernel, file }) => {
      if (file !== undefined && String(kernel.describe(fd)).startsWith(file)) kernel.close(fd)
    })
  }

  #close(closeFile: (fd: number, opened: Opened) => void): void {
    const fd = this.#fd
    if (fd === undefined) return
    for (const child of this.#children) child.#close(closeFile)
    // Forgotten before it is closed: the number may be another file's the moment after.
    this.#fd = undefined
    const opened = this.#opened
    if (opened === undefined) return
    if (opened.parent) opened.parent.#children.delete(this)
    forget(this)
    this.calls.whenIdle(() => {
      closeFile(fd, opened)
    })
  }
}
