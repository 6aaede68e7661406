import { spawn } from 'node:child_process'
import { watch } from 'node:fs'
import path from 'node:path'

/**
 * While somebody works: dist/ follows lib/, the addon follows native/, and vitest runs the tests that a
 * change concerns, which it also does on keys (h lists them).
 */
const root = path.resolve(import.meta.dirname, '..')

const makers = { lib: 'scripts/bundle-lib.mjs', native: 'scripts/build-addon.mjs' } as const

const watchers = Object.entries(makers).map(([folder, script]) => {
  let soon: NodeJS.Timeout | undefined
  return watch(path.join(root, folder), { recursive: true }, () => {
    // An editor writes a file in several steps.
    clearTimeout(soon)
    soon = setTimeout(() => {
      start(script)
    }, 200)
  })
})

start('node_modules/vitest/vitest.mjs', 'watch', ...process.argv.slice(2)).on('close', (status) => {
  for (const watcher of watchers) watcher.close()
  process.exitCode = status ?? 1
})

function start(script: string, ...args: string[]) {
  return spawn(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' })
}
