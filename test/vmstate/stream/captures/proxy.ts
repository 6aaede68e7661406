import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { once } from 'node:events'

/** A connection that went through the proxy. */
export interface RecordedChannel {
  /** The bytes that the source sent. */
  readonly sent: Buffer[]
  /** The bytes that came back. */
  readonly returned: Buffer[]
}

/** Stands between two QEMUs that migrate by a UNIX socket, and records what goes over each connection. */
export class RecordingProxy {
  readonly channels: RecordedChannel[] = []
  readonly #server: Server
  readonly #sockets: Socket[] = []

  private constructor(to: string) {
    // Each direction ends by itself: the way back is still used when the source has sent all.
    this.#server = createServer({ allowHalfOpen: true }, (source) => {
      this.#join(source, connect({ path: to, allowHalfOpen: true }))
    })
  }

  /** Listens at one path, and passes on to another. */
  static async between(path: string, to: string): Promise<RecordingProxy> {
    const proxy = new RecordingProxy(to)
    proxy.#server.listen(path)
    await once(proxy.#server, 'listening')
    return proxy
  }

  #join(source: Socket, destination: Socket): void {
    const channel: RecordedChannel = { sent: [], returned: [] }
    this.channels.push(channel)
    record(source, destination, channel.sent)
    record(destination, source, channel.returned)
    this.#sockets.push(source, destination)
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }
}

function record(from: Socket, to: Socket, into: Buffer[]): void {
  from.on('data', (chunk: Buffer) => into.push(chunk))
  from.pipe(to)
  // An end that goes away early ends the migration, and QEMU says why.
  from.on('error', () => to.destroy())
}
