/** The error that a call throws, which must be of this class: another one is thrown on. */
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
