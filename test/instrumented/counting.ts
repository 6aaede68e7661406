/** With these GCC makes an addon that counts what is run of it, from any thread. */
export const COUNTING_FLAGS = ['--coverage', '-fprofile-update=atomic', '-O0', '-g']

/** With these Vitest counts what is run of lib/, and {@link COUNTS_OF_LIB} has the outcome. */
export const COUNTING_ARGUMENTS = [
  ...['--coverage.enabled', '--coverage.include=lib/**/*.ts', '--coverage.reporter=json'],
  '--coverage.reportOnFailure',
]

export const COUNTS_OF_LIB = 'coverage/coverage-final.json'
