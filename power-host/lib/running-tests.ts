const separator = ' > '

/** The tests that run at the moment, one of each test file that is being worked through. */
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

  /** All of them, in words. */
  get list(): string {
    return [...this.#testOf.values()].join(' and ')
  }
}
