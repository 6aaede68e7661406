import { defineConfig, mergeConfig } from 'vitest/config'
import everywhere from '../../../vitest.config.ts'

const minute = 60_000
const power = 'test/**/*.power.test.ts'
const others = ['power-host/**', 'test/**/!(*.power).test.ts', 'examples/**']
const formats = ['test/vmstate/**', 'test/cli/**']
const noFormats = ['test/*.test.ts', 'test/!(vmstate|cli)/**', 'power-host/**', 'examples/**']

/** The suite in the emulated host, which is some thirty times slower than the machine that runs it. */
export default mergeConfig(
  everywhere,
  defineConfig({
    test: {
      typecheck: { enabled: false },
      testTimeout: 5 * minute,
      hookTimeout: 5 * minute,
      teardownTimeout: minute,
      // A millisecond there is nothing to wonder at.
      slowTestThreshold: 10_000,
      allowOnly: false,
      // To start a worker takes longer than most files do. Threads would start sooner than processes,
      // but share their files: a number that one test has closed would be another's file.
      pool: 'forks',
      isolate: false,
      setupFiles: ['test/power/host/announce.ts'],
      projects: [
        {
          extends: true,
          test: {
            name: 'tests',
            // Those in test/power are about what runs on the other side of the emulation.
            exclude: [power, 'test/power/**', 'power-host/**', ...formats],
            maxWorkers: 2,
          },
        },
        {
          extends: true,
          test: {
            // Bytes that are read are the same on any processor: CI leaves them out here.
            name: 'formats',
            exclude: [power, ...noFormats],
            maxWorkers: 2,
          },
        },
        {
          extends: true,
          test: {
            name: 'power',
            exclude: others,
            // They may keep both processors busy with guests, and they watch the time.
            maxWorkers: 1,
            sequence: { groupOrder: 1 },
          },
        },
      ],
    },
  }),
)
