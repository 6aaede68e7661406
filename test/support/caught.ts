/** Returns the error that a call throws, if it is of this class; another error is thrown again. */
export function caught<E extends Error>(
  type: abstract new (...args: never[]) => E,
  call: () => unknown,
): E {
  try {
    call()
  } catch (error) {
    if (error instanceof type) return error
    throw error
  }
  throw new Error(`No ${type.name} was thrown`)
}
