import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { run } from './run.ts'

/** Writes what apt needs to work in a directory of its own, and returns its configuration file. */
export async function setUpApt(directory: string, suite: string): Promise<string> {
  for (const name of ['lists/partial', 'archives/partial']) {
    await mkdir(path.join(directory, name), { recursive: true })
  }
  const options = ['arch=ppc64el', 'target=Packages', 'lang=none', ...signedBy()].join(' ')
  const source = `deb [${options}] ${await debianMirror()} ${suite} main\n`
  await writeFile(path.join(directory, 'sources.list'), source)
  await writeFile(path.join(directory, 'status'), '')
  const configuration = path.join(directory, 'apt.conf')
  await writeFile(configuration, privateConfiguration(directory))
  return configuration
}

/** Read after the system's configuration, of which proxies and the like stay in force. */
function privateConfiguration(directory: string): string {
  return `
    APT::Architecture "ppc64el";
    #clear APT::Architectures;
    APT::Architectures { "ppc64el"; };
    APT::Default-Release "";
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

/** No lock or hook of the system's, no change of user: this is not about the system's packages. */
const unprivileged = `
    Debug::NoLocking "true";
    APT::Sandbox::User "root";
    #clear APT::Update::Pre-Invoke;
    #clear APT::Update::Post-Invoke;
    #clear APT::Update::Post-Invoke-Success;
    Acquire::Retries "3";
`

/** The address that this system itself has Debian from. */
async function debianMirror(): Promise<string> {
  const mirror = (await mirrors([])) ?? (await mirrorOfBareSystem())
  if (mirror === undefined) {
    throw new Failure(
      'apt on this machine is not set up for Debian: its sources name no archive of origin and' +
        ' label "Debian" with the component "main"',
    )
  }
  return mirror
}

/** A container image often comes without package lists, and then apt cannot say whose they are. */
async function mirrorOfBareSystem(): Promise<string | undefined> {
  return withTemporary(async (directory) => {
    const lists = path.join(directory, 'lists')
    await mkdir(path.join(lists, 'partial'), { recursive: true })
    const configuration = path.join(directory, 'apt.conf')
    await writeFile(configuration, `Dir::State::Lists "${lists}"; ${unprivileged}`)
    const options = [`--config-file=${configuration}`]
    // Some other source of the system may fail without harm to us.
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
  // Not the CD that the machine was installed from.
  return stdout.split('\n').find((address) => /^(https?|mirror)/.test(address))
}

/** Debian's own keys, rather than every key the system trusts. */
function signedBy(): string[] {
  const names = ['debian-archive-keyring.pgp', 'debian-archive-keyring.gpg']
  const keyring = names.map((name) => `/usr/share/keyrings/${name}`).find(existsSync)
  return keyring === undefined ? [] : [`signed-by=${keyring}`]
}
