import type { Reporter, TestModule, TestRunEndReason, Vitest } from 'vitest/node'
import { leftOut } from './left-out.ts'
import { tell } from './tell.ts'

/** What test/power gets to know of a run. */
export interface Result {
  passed: number
  failed: number
  skipped: number
}

/**
 * In the emulated host nothing is missing, so a test that does not run there runs nowhere: it is a
 * failure. Also says what is going on to whoever watches from outside.
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
