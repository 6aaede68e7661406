import { spawn, spawnSync } from 'node:child_process'
import { watch } from 'node:fs'
import path from 'node:path'

/**
 * While somebody works: dist/ follows lib/, the addon follows native/, and vitest runs the tests that a
 * change concerns, which it also does on keys (h lists them).
 */
const root = path.resolve(import.meta.dirname, '..')
const node = (args: readonly string[]) => [process.execPath, args] as const
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs')

const library = spawn(...node(['scripts/bundle-lib.mjs', '--watch']), {
  cwd: root,
  stdio: 'inherit',
})

let pending: NodeJS.Timeout | undefined
const addon = watch(path.join(root, 'native'), () => {
  // An editor writes a file in several steps.
  clearTimeout(pending)
  pending = setTimeout(() => {
    const build = spawnSync(...node(['scripts/build-addon.mjs']), { cwd: root, stdio: 'inherit' })
    if (build.status === 0) console.log('Press enter to run all tests with it.')
  }, 200)
})

const tests = spawn(...node([vitest, 'watch', ...process.argv.slice(2)]), {
  cwd: root,
  stdio: 'inherit',
})
tests.on('close', (status) => {
  library.kill()
  addon.close()
  clearTimeout(pending)
  process.exitCode = status ?? 1
})
