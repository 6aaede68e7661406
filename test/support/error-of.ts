/** Returns the error that a call throws. Throws an error of its own if the call does not throw. */
export function errorOf(call: () => unknown, what = ''): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error(`Nothing was thrown${what === '' ? '' : ` for ${what}`}`)
}
