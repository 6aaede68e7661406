import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import type { AddressInfo } from 'node:net'

/** What `npm publish` puts: the description of a package with one more version, and the tarball of it. */
interface Published {
  readonly versions: Readonly<Record<string, unknown>>
  readonly _attachments: Readonly<Record<string, { readonly data: string }>>
}

export interface Registry {
  readonly address: string
  close(): void
}

/**
 * A registry in memory, on a port of this machine. `npm publish` writes to it, so that the package's
 * description is the one that npm makes, and every package manager reads from it. Verdaccio, which is the
 * only registry of this kind that is maintained, would bring 327 packages of 58 MB, and its releases for
 * Node 20 are not those that get fixes.
 */
export async function startRegistry(): Promise<Registry> {
  const packages = new Map<string, Published>()
  const server = createServer((request, response) => {
    const [, name = '', , tarball] = (request.url ?? '').split('/')
    if (request.method === 'PUT') {
      void text(request).then((body) => {
        packages.set(name, JSON.parse(body) as Published)
        response.writeHead(201).end('{}')
      })
      return
    }
    const found = packages.get(name)
    const file = found?._attachments[tarball ?? '']
    if (file !== undefined) response.end(Buffer.from(file.data, 'base64'))
    else if (found === undefined || tarball !== undefined) response.writeHead(404).end('{}')
    else {
      const text = JSON.stringify({ ...found, _attachments: undefined, time: times(found) })
      response.setHeader('content-type', 'application/json').end(text)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}/`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** All were published long ago: Yarn 4 does not take a version that is younger than a day. */
function times({ versions }: Published): Record<string, string> {
  const names = ['created', 'modified', ...Object.keys(versions)]
  return Object.fromEntries(names.map((name) => [name, '2020-01-01T00:00:00.000Z']))
}
