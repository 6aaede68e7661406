/** Returns what a call throws, and throws if it throws nothing. */
export function errorOf(call: () => unknown, what = ''): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error(`Nothing was thrown${what === '' ? '' : ` for ${what}`}`)
}
