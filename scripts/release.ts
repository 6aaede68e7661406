import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { ChangelogError, releaseIn } from './changelog.ts'

/**
 * Makes a release, but does not publish it: checks the tree, runs the tests and checks, writes the
 * version, commits, tags and packs. Nothing leaves this machine.
 *
 * TODO before the first release: as soon as the project has an address, add "repository", "bugs" and
 * "homepage" to package.json. npm shows them, and the links of the README lead there.
 */

const root = path.resolve(import.meta.dirname, '..')
const changelogFile = path.join(root, 'CHANGELOG.md')

const program = new Command('npm run release --')
  .description(
    'Makes a release but does not publish it: checks, version, changelog, commit, tag and package.',
  )
  .argument('<version>', 'such as 1.2.0; above the present one', parseVersion)
  .option('--skip-tests', 'when CI has just passed on this very commit')
  .action((version: string, options: { skipTests?: true }) => {
    release(version, options.skipTests === true)
  })
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : 2)
  })

class Refusal extends Error {}

function release(version: string, skipTests: boolean): void {
  const { name, version: present } = packageJson()
  const changelog = readFileSync(changelogFile, 'utf8')
  if (git('status', '--porcelain') !== '') throw new Refusal('the tree is not clean: git status')
  const branch = git('rev-parse', '--abbrev-ref', 'HEAD')
  if (branch !== 'main') throw new Refusal(`releases are made on main, and this is ${branch}`)
  if (compare(version, present) <= 0 && !isFirst(version, present)) {
    throw new Refusal(`the version is ${present}; a release is above that`)
  }
  if (git('tag', '--list', `v${version}`) !== '') throw new Refusal(`there is a tag v${version}`)
  const released = releaseIn(changelog, version, new Date().toISOString().slice(0, 10))

  if (!skipTests) {
    step('npm', 'cit')
    step('npm', 'run', 'check')
  }
  writeFileSync(changelogFile, released)
  step('npm', 'version', '--no-git-tag-version', '--allow-same-version', version)
  step('npm', 'run', 'docs', '--', 'man')
  step('npm', 'run', 'build:lib')
  step('git', 'commit', '--all', '--message', `Release ${version}`)
  step('git', 'tag', '--annotate', `v${version}`, '--message', `${name} ${version}`)
  step('npm', 'pack')
  const archive = path.join(root, `${name}-${version}.tgz`)
  if (!existsSync(archive)) throw new Refusal(`npm pack made no ${archive}`)
  console.log(`
${name} ${version} is packed in ${archive}; nothing has been published. What is left:

  tar --list --file ${path.basename(archive)}        look at what is in it
  git push origin main v${version}
  npm publish ${path.basename(archive)}

To take it back: git tag --delete v${version} && git reset --hard HEAD~1`)
}

function parseVersion(text: string): string {
  if (!/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/.test(text)) {
    throw new InvalidArgumentError('It is three numbers: 1.2.0.')
  }
  return text
}

/** The first release may have the version that package.json has already. */
function isFirst(version: string, present: string): boolean {
  return version === present && git('tag', '--list', 'v*') === ''
}

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number))
  const differences = (left ?? []).map((number, index) => number - (right?.[index] ?? 0))
  return differences.find((difference) => difference !== 0) ?? 0
}

function packageJson(): { name: string; version: string } {
  return JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
  }
}

function git(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Refusal(`git ${args.join(' ')}: ${stderr.trim()}`)
  return stdout.trim()
}

function step(command: string, ...args: string[]): void {
  console.log(`\n=== ${command} ${args.join(' ')}`)
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Refusal(`${command} ${args.join(' ')} failed; nothing was released`)
}

try {
  program.parse()
} catch (error) {
  if (!(error instanceof Refusal || error instanceof ChangelogError)) throw error
  console.error(`release: ${error.message}`)
  process.exitCode = 1
}
