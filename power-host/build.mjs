// Makes dist/ from lib/: JavaScript, types, and the script that is the host's first process.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const root = import.meta.dirname
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')

rmSync(path.join(root, 'dist'), { recursive: true, force: true })
const { status } = spawnSync(process.execPath, [tsc, '--project', 'lib'], {
  cwd: root,
  stdio: 'inherit',
})
if (status === 0) {
  copyFileSync(path.join(root, 'lib/init.sh'), path.join(root, 'dist/init.sh'))
  chmodSync(path.join(root, 'dist/main.js'), 0o755)
}
process.exitCode = status ?? 1
