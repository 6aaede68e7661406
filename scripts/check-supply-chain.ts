import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

// Checks the dependencies with npm's own commands: that the lock file pins them, that their licences
// are compatible with Apache-2.0, and that they are signed, if the registry has signatures.

/** Allowed licences of the packages that users install with the library. */
const licences = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0']
/** Also allowed for tools: their conditions are about copies, and no tool is distributed. */
const licencesOfTools = [...licences, '0BSD', 'CC-BY-4.0', 'CC0-1.0', 'MPL-2.0', 'Python-2.0']

const REGISTRY = 'https://registry.npmjs.org/'

interface Locked {
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
}

interface Package {
  readonly name: string
  readonly version: string
  readonly license?: unknown
}

interface Signatures {
  readonly error?: { readonly summary: string }
  readonly invalid?: readonly Package[]
  readonly missing?: readonly Package[]
}

function npm(...args: string[]): string {
  const { stdout, error } = spawnSync('npm', args, {
    encoding: 'utf8',
    // Not repeated for a registry without signatures.
    env: { ...process.env, npm_config_fetch_retries: '0' },
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 28,
  })
  if (error !== undefined) throw error
  return stdout
}

/** Lists packages that are not pinned by a hash, or do not come from npm's registry. */
function unpinned(): string[] {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, Locked>
  }
  return (
    Object.entries(packages)
      // The rest are the packages of this repository itself, and links to them.
      .filter(([path, { link }]) => path.startsWith('node_modules/') && link !== true)
      .filter(([, { integrity = '', resolved = REGISTRY }]) => {
        return !integrity.startsWith('sha512-') || !resolved.startsWith(REGISTRY)
      })
      .map(([path]) => path)
  )
}

/** Lists installed packages whose licence is not one of these. */
function licensedOtherwise(selector: string, allowed: readonly string[]): string[] {
  const others = allowed.map((name) => `:not([license="${name}"])`).join('')
  const packages = JSON.parse(npm('query', `${selector}${others}`)) as Package[]
  return packages.map(({ name, version, license = 'none' }) => {
    return `${name} ${version}: ${JSON.stringify(license)}`
  })
}

function report(what: string, wrong: readonly string[]): void {
  console.log(`${what}: ${wrong.length === 0 ? 'yes' : `no\n  ${wrong.join('\n  ')}`}`)
  if (wrong.length > 0) process.exitCode = 1
}

report('The lock file pins every package', unpinned())
report(`At run time only ${licences.join(', ')}`, licensedOtherwise('.prod:not(:root)', licences))
report(
  `Among the tools also ${licencesOfTools.slice(licences.length).join(', ')}, and no other`,
  licensedOtherwise('*:not(:root)', licencesOfTools),
)

const signatures = JSON.parse(npm('audit', 'signatures', '--json')) as Signatures
if (signatures.error === undefined) {
  const { invalid = [], missing = [] } = signatures
  report(
    "Every package has the registry's signature",
    [...invalid, ...missing].map(({ name, version }) => `${name} ${version}`),
  )
} else {
  console.log(
    "Every package has the registry's signature: not checked, since no signatures are available here; " +
      `npm says: ${signatures.error.summary}`,
  )
}
