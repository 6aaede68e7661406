import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** How a suite's list of packages is on the mirror: damaged ones are longer than the signed size. */
export type State = 'whole' | 'damaged' | 'absent'

/**
 * A Debian archive with a package `sample` in a few suites, signed with a key of its own, on a server
 * of this process.
 */
export class DebianArchive {
  readonly keyring: string
  /** How many bytes of the next package are sent before the connection breaks off. */
  breakAfter: number | undefined
  /** Of each request for a package: where in the file it began. */
  readonly downloadsFrom: number[] = []
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'power-host-archive-'))
  readonly #home = path.join(this.#folder, 'gnupg')
  readonly #root = path.join(this.#folder, 'debian')
  readonly #server: Server

  constructor() {
    mkdirSync(this.#home, { mode: 0o700 })
    this.#gpg('--passphrase', '', '--quick-generate-key', 'archive@example.test', 'default', 'sign')
    this.keyring = path.join(this.#folder, 'keyring.gpg')
    this.#gpg('--output', this.keyring, '--export')
    this.#server = createServer((request, response) => {
      this.#answer(request, response)
    })
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get mirror(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/debian`
  }

  async stop(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve))
    // The agent that gpg has started watches its folder, and ends with it.
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 3 })
  }

  /** Publishes a suite with this version of the package, or takes the suite away. */
  publish(suite: string, state: State, version = '1.0-1'): void {
    const dist = path.join(this.#root, 'dists', suite)
    rmSync(dist, { recursive: true, force: true })
    if (state === 'absent') return
    const list = path.join('main', 'binary-ppc64el', 'Packages')
    mkdirSync(path.dirname(path.join(dist, list)), { recursive: true })
    const text = this.#packageRecord(version)
    const { size, hash } = { size: text.length, hash: sha256(Buffer.from(text)) }
    writeFileSync(path.join(dist, list), state === 'damaged' ? `${text}\n` : text)
    const release = path.join(dist, 'Release')
    writeFileSync(
      release,
      `Origin: Test\nLabel: Test\nSuite: ${suite}\nCodename: ${suite}\n` +
        `Date: ${new Date().toUTCString().replace('GMT', 'UTC')}\n` +
        `Architectures: ppc64el\nComponents: main\nSHA256:\n ${hash} ${size} ${list}\n`,
    )
    this.#gpg('--clearsign', '--output', path.join(dist, 'InRelease'), release)
  }

  /** Describes the package as a list of packages does; it is built once, as two builds would differ. */
  #packageRecord(version: string): string {
    const control =
      `Package: sample\nVersion: ${version}\nArchitecture: ppc64el\n` +
      'Maintainer: Test <test@example.test>\nDescription: a package for a test\n'
    const name = path.join('pool', `sample_${version}_ppc64el.deb`)
    const file = path.join(this.#root, name)
    if (!existsSync(file)) this.#build(version, control, file)
    const hash = sha256(readFileSync(file))
    return `${control}Filename: ${name}\nSize: ${statSync(file).size}\nSHA256: ${hash}\n\n`
  }

  #build(version: string, control: string, file: string): void {
    const built = path.join(this.#folder, 'built')
    rmSync(built, { recursive: true, force: true })
    mkdirSync(path.join(built, 'DEBIAN'), { recursive: true })
    mkdirSync(path.join(built, 'usr/share/sample'), { recursive: true })
    writeFileSync(path.join(built, 'DEBIAN/control'), control)
    writeFileSync(path.join(built, 'usr/share/sample/version'), version)
    // Not compressible, so that a download can break off in the middle.
    const noise = createHash('sha512').update(version).digest('hex').repeat(2000)
    writeFileSync(path.join(built, 'usr/share/sample/noise'), noise)
    chmodSync(path.join(built, 'DEBIAN'), 0o755)
    mkdirSync(path.dirname(file), { recursive: true })
    execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', built, file])
  }

  #gpg(...args: string[]): void {
    execFileSync('gpg', ['--homedir', this.#home, '--batch', '--quiet', '--yes', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const name = decodeURIComponent(request.url ?? '').replace(/^\/debian\//, '')
    let file: Buffer
    try {
      file = readFileSync(path.join(this.#root, name))
    } catch {
      response.writeHead(404).end()
      return
    }
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const rest = file.subarray(from)
    const headers = {
      'Accept-Ranges': 'bytes',
      'Content-Length': rest.length,
      'Last-Modified': new Date(1.7e12).toUTCString(),
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${file.length - 1}/${file.length}` }),
    }
    response.writeHead(from > 0 ? 206 : 200, headers)
    const isPackage = name.startsWith('pool/')
    if (isPackage) this.downloadsFrom.push(from)
    if (!isPackage || this.breakAfter === undefined) {
      response.end(rest)
      return
    }
    response.write(rest.subarray(0, this.breakAfter), () => response.destroy())
    this.breakAfter = undefined
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
