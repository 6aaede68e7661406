import type { TestCase, TestModule } from 'vitest/node'

/** The tests of a module that should have run and did not, with the reason if one was given. */
export function leftOut(module: TestModule, pattern: RegExp | undefined): string[] {
  const tests = Array.from(module.children.allTests('skipped'))
    .filter((test) => pattern === undefined || pattern.test(nameForPattern(test)))
    .map((test) => `${test.fullName}${reasonOf(test)}`)
  // describe.todo() may be without any test to be counted.
  const suites = Array.from(module.children.allSuites())
    .filter((suite) => suite.children.size === 0 && suite.state() === 'skipped')
    .map((suite) => suite.fullName)
  return [...tests, ...suites].map((name) => `${module.relativeModuleId} > ${name}`)
}

/** What --testNamePattern is compared with. Tests that it does not choose are skipped too, by Vitest. */
function nameForPattern(test: TestCase): string {
  const names = [test.name]
  for (let parent = test.parent; parent.type === 'suite'; parent = parent.parent) {
    names.unshift(parent.name)
  }
  return names.join(' ')
}

function reasonOf(test: TestCase): string {
  const result = test.result()
  return result.state === 'skipped' && result.note !== undefined ? ` [${result.note}]` : ''
}
