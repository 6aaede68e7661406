import { AT_END, ByteReader, parseWithin } from '../../../lib/vmstate/stream/bytes.ts'
import type { Parser } from '../../../lib/vmstate/stream/bytes.ts'
import { parseStream } from '../../../lib/vmstate/stream/parse.ts'
import type { QemuStream } from '../../../lib/vmstate/index.ts'

/** Reads bytes at once, for tests of many. */
export function read(bytes: Uint8Array, search = false): QemuStream {
  return parseAll(parseStream(new ByteReader(), { search }), bytes)
}

/** Runs a parser over bytes without giving anything else its turn. */
function parseAll<T>(parser: Parser<T>, bytes: Uint8Array): T {
  const whole = parseWithin(parser, bytes)
  let step = whole.next()
  while (!step.done) step = whole.next(AT_END)
  return step.value
}
