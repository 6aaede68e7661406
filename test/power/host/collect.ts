// Runs a command that counts what is run of lib/ and native/, and sends home the counts.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { tell } from './tell.ts'

/** What comes home. */
export interface Collected {
  /** Where the project was. */
  project: string
  /** Istanbul's, if the command came so far. */
  lib: string
  /** GCC's, by the path of the file below build/Release/obj.target, in base64. */
  native: Record<string, string>
}

const [countsOfLib = '', command = '', ...args] = process.argv.slice(2)

/** GCC's are to be written below this folder: where the addon was built there is nothing here. */
const countsOfNative = '/tmp/counts'
mkdirSync(countsOfNative)

const env = { ...process.env, GCOV_PREFIX: countsOfNative }
process.exitCode = spawnSync(command, args, { stdio: 'inherit', env }).status ?? 1
tell(
  'result',
  JSON.stringify({ collected: gzipSync(JSON.stringify(collect())).toString('base64') }),
)

function collect(): Collected {
  const files = readdirSync(countsOfNative, { recursive: true, encoding: 'utf8' })
  const native = files
    .filter((file) => file.endsWith('.gcda'))
    .map((file): [string, string] => [
      file.replace(/^.*\/obj\.target\//, ''),
      readFileSync(path.join(countsOfNative, file), 'base64'),
    ])
  return {
    project: process.cwd(),
    lib: existsSync(countsOfLib) ? readFileSync(countsOfLib, 'utf8') : '',
    native: Object.fromEntries(native),
  }
}
