import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { run } from './run.ts'

/** The suite and mirror that packages come from. */
export interface Place {
  /** A suite of Debian, such as "trixie". */
  suite: string
  /** Debian's name of the architecture, such as "ppc64el". */
  architecture: string
  /** Whether packages are fetched together with their dependencies. */
  complete: boolean
  /** The address of the mirror. The default is the mirror in this system's own apt sources. */
  mirror?: string
  /** The file with the keys. The default is Debian's own keys. */
  keyring?: string
}

/** Writes the files with which apt works in a directory of its own, and returns its configuration file. */
export async function setUpApt(directory: string, place: Place): Promise<string> {
  for (const name of ['lists/partial', 'archives/partial']) {
    await mkdir(path.join(directory, name), { recursive: true })
  }
  const { architecture, mirror = await debianMirror(), keyring = debianKeyring() } = place
  const options = `arch=${architecture} target=Packages lang=none signed-by=${keyring}`
  const sources = suitesOf(place).map((suite) => `deb [${options}] ${mirror} ${suite} main\n`)
  await writeFile(path.join(directory, 'sources.list'), sources.join(''))
  await writeFile(path.join(directory, 'status'), '')
  const configuration = path.join(directory, 'apt.conf')
  await writeFile(configuration, privateConfiguration(directory, place))
  return configuration
}

/** The suites to read. The dependencies of a package in backports may be in the suite that they are for. */
function suitesOf({ suite, complete }: Place): string[] {
  const base = suite.replace(/-backports$/, '')
  return complete && base !== suite ? [suite, base] : [suite]
}

/** The configuration, which apt reads after the system's, so that settings such as proxies stay in force. */
function privateConfiguration(directory: string, { suite, architecture }: Place): string {
  return `
    APT::Architecture "${architecture}";
    #clear APT::Architectures;
    APT::Architectures { "${architecture}"; };
    APT::Default-Release "${suite}";
    APT::Install-Recommends "false";
    Dir::State::Lists "${directory}/lists";
    Dir::State::status "${directory}/status";
    Dir::Cache::Archives "${directory}/archives";
    Dir::Cache::pkgcache "";
    Dir::Cache::srcpkgcache "";
    Dir::Etc::sourcelist "${directory}/sources.list";
    Dir::Etc::sourceparts "/dev/null";
    Dir::Etc::preferences "/dev/null";
    Dir::Etc::preferencesparts "/dev/null";
    APT::Update::Error-Mode "any";
    ${unprivileged}`
}

/** Turns off the system's locks, hooks and change of user, which are meant for the system's own packages. */
const unprivileged = `
    Debug::NoLocking "true";
    APT::Sandbox::User "root";
    #clear APT::Update::Pre-Invoke;
    #clear APT::Update::Post-Invoke;
    #clear APT::Update::Post-Invoke-Success;
    Acquire::Retries "3";
`

/** The address of the Debian mirror in this system's own apt sources. */
async function debianMirror(): Promise<string> {
  const mirror = (await mirrors([])) ?? (await mirrorOfBareSystem())
  if (mirror === undefined) {
    throw new Failure(
      'apt on this machine is not set up for Debian: its sources name no archive of origin and' +
        ' label "Debian" with the component "main". Name a Debian mirror with --mirror or in the' +
        ' environment variable POWER_HOST_MIRROR',
    )
  }
  return mirror
}

/** Updates the package lists if there are none, as in many container images: apt reads the origin from them. */
async function mirrorOfBareSystem(): Promise<string | undefined> {
  return withTemporary(async (directory) => {
    const lists = path.join(directory, 'lists')
    await mkdir(path.join(lists, 'partial'), { recursive: true })
    const configuration = path.join(directory, 'apt.conf')
    await writeFile(configuration, `Dir::State::Lists "${lists}"; ${unprivileged}`)
    const options = [`--config-file=${configuration}`]
    // Ignored, since another source of the system may have failed.
    await run('apt-get', [...options, 'update']).catch(() => undefined)
    return mirrors(options)
  })
}

async function mirrors(options: string[]): Promise<string | undefined> {
  const wanted = ['Created-By: Packages', 'Origin: Debian', 'Label: Debian', 'Component: main']
  const { stdout } = await run('apt-get', [
    ...options,
    'indextargets',
    '--format',
    '$(REPO_URI)',
    ...wanted,
  ])
  // Excludes the CD that the machine may have been installed from.
  return stdout.split('\n').find((address) => /^(https?|mirror)/.test(address))
}

/** The file with Debian's own keys, since the system may trust other keys as well. */
function debianKeyring(): string {
  const names = ['debian-archive-keyring.pgp', 'debian-archive-keyring.gpg']
  const keyring = names.map((name) => `/usr/share/keyrings/${name}`).find(existsSync)
  if (keyring === undefined) {
    throw new Failure(
      "the keys of Debian's archive are not on this machine. Install them with\n\n" +
        '    apt-get install debian-archive-keyring\n',
    )
  }
  return keyring
}
