// Makes the documents that are made from something else: npm run docs, or npm run docs -- registers.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const parts: Readonly<Record<string, () => unknown>> = {
  man: () => import('./write-man.ts'),
  registers: () => import('./write-registers.ts'),
  formats: () => import('./write-formats.ts'),
  picture: () => import('./write-picture.ts'),
  api: () => {
    const typedoc = path.resolve(import.meta.dirname, '../node_modules/typedoc/bin/typedoc')
    process.exitCode = spawnSync(process.execPath, [typedoc], { stdio: 'inherit' }).status ?? 1
  },
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in parts))
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(', ')}: it is one of ${Object.keys(parts).join(', ')}.`)
  process.exitCode = 2
} else {
  for (const name of wanted.length > 0 ? wanted : Object.keys(parts)) await parts[name]?.()
}
