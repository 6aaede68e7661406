import { build, context } from 'esbuild'

/**
 * Node takes half a millisecond for each file of a module that it imports: one file for each entry, and
 * those that they share, are imported in less than half of the time.
 *
 * @type {import('esbuild').BuildOptions}
 */
const options = {
  entryPoints: ['lib/index.ts', 'lib/vmstate/index.ts', 'lib/testing/index.ts', 'lib/cli/main.ts'],
  outbase: 'lib',
  outdir: 'dist',
  bundle: true,
  splitting: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
}

if (process.argv.includes('--watch')) await (await context(options)).watch()
else await build(options)
