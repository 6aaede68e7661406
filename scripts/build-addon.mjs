// Builds the native addon with node-gyp, for this machine. `npm ci` passes `--optional`: if
// the addon cannot be built, one line says what is missing, and the installation succeeds, since the
// software model works everywhere. On ppc64 Linux a failed build fails the installation, because the
// addon is the purpose of the project there.
//
// An installed package has what this needs as well, except node-addon-api, which is fetched. Its
// binding.gyp lies in native/: npm and Yarn compile every package that has one in its root, also where
// the manifest says "gypfile": false, since lock files do not carry that (npm/cli #3341).
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const optional = process.argv.includes('--optional')
const debug = process.argv.includes('--debug')
const isPower = process.platform === 'linux' && process.arch === 'ppc64'

/** Finds node-gyp in this checkout, or the one inside npm, whose path npm puts into the environment. */
function findNodeGyp() {
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js')
  } catch {
    return process.env.npm_config_node_gyp
  }
}

function isOnPath(program) {
  if (program.includes(path.sep)) return existsSync(program)
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  return folders.some((folder) => existsSync(path.join(folder, program)))
}

function whatIsMissing() {
  if (process.platform !== 'linux') return `KVM is Linux's, this is ${process.platform}`
  const compiler = (process.env.CXX ?? 'g++').split(' ')[0] || 'g++'
  const missing = ['python3', 'make', compiler].filter((program) => !isOnPath(program))
  if (missing.length > 0) return `${missing.join(' and ')} missing`
  if (findNodeGyp() === undefined) return 'node-gyp missing'
  return undefined
}

/** Points node-gyp to the headers that came with this Node. If there are none, it downloads them. */
function headerArguments() {
  const prefix = path.resolve(process.execPath, '..', '..')
  return existsSync(path.join(prefix, 'include', 'node', 'node_api.h'))
    ? [`--nodedir=${prefix}`]
    : []
}

function fail(reason, output) {
  const allowed = optional && !isPower
  if (output && !allowed) process.stderr.write(output)
  console.error(
    `kvm-ppc-onereg: the native addon was not built (${reason}); ` +
      (isPower
        ? 'without it this package cannot reach KVM.'
        : 'the software model works without it. To build it: npm run build:addon'),
  )
  process.exit(allowed ? 0 : 1)
}

function run(what, program, args, env = {}) {
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 }
  const ended = spawnSync(program, args, { ...options, env: { ...process.env, ...env } })
  const output = `${ended.stdout ?? ''}${ended.stderr ?? ''}`
  if (ended.status !== 0) fail(`${what} failed`, output)
  return output
}

/** Fetches node-addon-api into a folder of its own, and returns where Node finds it. */
function fetchHeaders(folder) {
  const { devDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const name = `node-addon-api@${devDependencies['node-addon-api']}`
  console.log(`kvm-ppc-onereg: fetching ${name}, needed to build the native addon`)
  const args = ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', name]
  run('npm install', 'npm', args)
  return path.join(folder, 'node_modules')
}

/**
 * The folder to build in: the root of a clone; in an installed package a copy of the sources below
 * build/, with binding.gyp beside native/ as its paths want it.
 */
function buildFolder() {
  if (existsSync(path.join(root, 'binding.gyp'))) return root
  const folder = path.join(root, 'build', 'source')
  cpSync(path.join(root, 'native'), path.join(folder, 'native'), { recursive: true })
  cpSync(path.join(root, 'native', 'binding.gyp'), path.join(folder, 'binding.gyp'))
  return folder
}

function hasHeaders() {
  try {
    return createRequire(import.meta.url).resolve('node-addon-api') !== ''
  } catch {
    return false
  }
}

const missing = whatIsMissing()
if (missing) fail(missing)

const started = Date.now()
const fetched = hasHeaders() ? undefined : mkdtempSync(path.join(tmpdir(), 'node-addon-api-'))
process.on('exit', () => fetched && rmSync(fetched, { recursive: true }))
const folder = buildFolder()
const output = run(
  'node-gyp',
  process.execPath,
  [findNodeGyp(), 'rebuild', debug ? '--debug' : '--release', '-C', folder, ...headerArguments()],
  // Where binding.gyp asks Node for them.
  fetched ? { NODE_PATH: fetchHeaders(fetched) } : {},
)
if (folder !== root) {
  const built = path.join('build', debug ? 'Debug' : 'Release')
  for (const name of readdirSync(path.join(folder, built)).filter((name) =>
    name.endsWith('.node'),
  )) {
    cpSync(path.join(folder, built, name), path.join(root, built, name))
  }
  rmSync(folder, { recursive: true })
}
for (const line of output.split('\n')) if (/\bwarning:/.test(line)) console.error(line)
const seconds = ((Date.now() - started) / 1000).toFixed(1)
console.log(
  `kvm-ppc-onereg: native addon built for ${process.platform}-${process.arch} in ${seconds} s`,
)
