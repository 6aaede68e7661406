const separator = ' > '

/** The tests that run at the moment, one for each test file that is being run. */
export class RunningTests {
  readonly #testOf = new Map<string, string>()

  /** A file, or a file and the test in it: `test/a.test.ts > adds > two numbers`. */
  at(test: string): void {
    const [file = ''] = test.split(separator, 1)
    this.#testOf.set(file, test)
  }

  done(file: string): void {
    this.#testOf.delete(file)
  }

  get any(): boolean {
    return this.#testOf.size > 0
  }

  /** The names of all running tests, for a message. */
  get list(): string {
    return [...this.#testOf.values()].join(' and ')
  }
}
