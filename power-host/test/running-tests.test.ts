import { expect, test } from 'vitest'
import { RunningTests } from '../lib/running-tests.ts'

test('knows the test of each file that is being worked through', () => {
  const tests = new RunningTests()
  expect(tests.any).toBe(false)
  tests.at('test/a.test.ts')
  tests.at('test/b.test.ts')
  tests.at('test/a.test.ts > adds > two numbers')
  expect(tests.list).toBe('test/a.test.ts > adds > two numbers and test/b.test.ts')
  tests.at('test/a.test.ts > adds > three')
  tests.done('test/b.test.ts')
  expect(tests.list).toBe('test/a.test.ts > adds > three')
  tests.done('test/a.test.ts')
  expect(tests.any).toBe(false)
})
