import { defineConfig } from 'vitest/config'

const isPower = process.arch === 'ppc64'

export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/**/*.test.ts', 'power-host/test/*.test.ts', 'examples/*/*.test.ts'],
    // Tests that are tied to one kind of machine say so in their names. Those of the
    // published package are for npm run test:package.
    exclude: [
      isPower ? '**/*.x86.test.ts' : '**/*.power.test.ts',
      'test/package/**',
      'node_modules/**',
    ],
    // An interrupted `npm pack` leaves its binaries behind; the tests are about what was built here.
    env: { KVM_PPC_ADDON: 'built' },
    // Most tests leave their models to the garbage collector; test/kvm/unclosed.test.ts looks for it itself.
    execArgv: ['--disable-warning=KVM_PPC_UNCLOSED'],
    // A time that is only reached by a test that hangs: a busy machine takes long for what takes milliseconds.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    globalSetup: isPower ? [] : ['test/power/left-to-power.ts'],
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'] },
  },
})
