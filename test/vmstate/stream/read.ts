import { ByteReader, parseAll } from '../../../lib/vmstate/stream/bytes.ts'
import { parseStream } from '../../../lib/vmstate/stream/parse.ts'
import type { QemuStream } from '../../../lib/vmstate/index.ts'

/** Reads bytes at once, for tests of many. */
export function read(bytes: Uint8Array, search = false): QemuStream {
  return parseAll(parseStream(new ByteReader(), search), bytes)
}
