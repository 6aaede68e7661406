import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { build, context } from 'esbuild'
import { compileEarly } from './compile-early.mjs'

/** @type {import('esbuild').Plugin} */
const writing = {
  name: 'write',
  setup({ onEnd }) {
    onEnd(({ outputFiles = [] }) => {
      for (const { path: file, text } of outputFiles) {
        mkdirSync(path.dirname(file), { recursive: true })
        writeFileSync(file, compileEarly(text))
      }
    })
  },
}

/**
 * Bundles lib/ into one file for each entry and some that they share. Node takes half a millisecond for
 * each file that it imports, so this halves the time of an import.
 *
 * @type {import('esbuild').BuildOptions}
 */
const options = {
  entryPoints: [
    'lib/index.ts',
    'lib/vmstate/index.ts',
    'lib/testing/index.ts',
    'lib/verify/index.ts',
    'lib/cli/main.ts',
  ],
  outbase: 'lib',
  outdir: 'dist',
  bundle: true,
  splitting: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
  plugins: [writing],
  write: false,
}

if (process.argv.includes('--watch')) await (await context(options)).watch()
else await build(options)
