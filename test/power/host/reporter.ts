import type { Reporter, TestModule, TestRunEndReason, Vitest } from 'vitest/node'
import { leftOut } from './left-out.ts'
import { tell } from './tell.ts'

/** The result of a run, which is sent to the machine outside. */
export interface Result {
  passed: number
  failed: number
  skipped: number
}

/**
 * Makes a skipped test a failure: the emulated host lacks nothing, so a test that is skipped there is never
 * run. It also sends the names of the running tests to the machine outside.
 */
export default class StrictReporter implements Reporter {
  #vitest: Vitest | undefined

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  onTestModuleQueued({ relativeModuleId }: TestModule): void {
    tell('at', relativeModuleId)
  }

  onTestModuleEnd({ relativeModuleId }: TestModule): void {
    tell('done', relativeModuleId)
  }

  onTestRunEnd(modules: readonly TestModule[], _errors: unknown, reason: TestRunEndReason): void {
    const pattern = this.#vitest?.config.testNamePattern
    const missing = modules.flatMap((module) => leftOut(module, pattern))
    const states = modules.flatMap((module) =>
      Array.from(module.children.allTests(), (test) => test.result().state),
    )
    const count = (state: string): number => states.filter((one) => one === state).length
    const result: Result = {
      passed: count('passed'),
      failed: count('failed'),
      skipped: missing.length,
    }
    tell('result', JSON.stringify(result))
    if (missing.length === 0 || reason === 'interrupted') return
    const list = missing.map((name) => `  ${name}\n`).join('')
    process.stderr.write(`\nSkipped, which is a failure here (${missing.length}):\n${list}\n`)
    process.exitCode = 1
  }
}
