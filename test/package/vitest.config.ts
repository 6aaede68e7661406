import { defineConfig } from 'vitest/config'

/** The tests of the package as it is published: packed, and installed in an empty project. */
export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/package/*.test.ts'],
    globalSetup: ['test/package/installed.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxConcurrency: 2,
  },
})
