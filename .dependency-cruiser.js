/**
 * No two modules of lib/ import each other, also not by way of others and not for their types alone.
 * Which folder may import which is checked by ESLint: see eslint.config.js.
 *
 * @type {import('dependency-cruiser').IConfiguration}
 */
export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'Move what both need into a module that both import.',
      from: {},
      to: { circular: true },
    },
    {
      name: 'nothing-outside-lib',
      severity: 'error',
      comment: 'The package has lib/ only: what it imports must lie there too.',
      from: { path: '^lib/' },
      to: { pathNot: '^lib/', dependencyTypes: ['local'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
}
