import { spawn, spawnSync } from 'node:child_process'
import { watch } from 'node:fs'
import path from 'node:path'

/**
 * Runs while you work: rebuilds dist/ when lib/ changes and the addon when native/ changes, and vitest
 * runs the tests that depend on a change. Keys run more of them (h lists the keys).
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
  // Editors write a file in several steps: wait for the last.
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
