import type { ByteReader, Parser } from './bytes.ts'
import { malformed, overLimit, unsupported } from './errors.ts'
import { HELD_LIMIT } from './limits.ts'

/** Names by code, and how many bytes of data each has, unless any number (QEMU, migration/savevm.c: mig_cmd_args). */
const commands: Readonly<Record<number, { readonly name: string; readonly length?: number }>> = {
  1: { name: 'OPEN_RETURN_PATH', length: 0 },
  2: { name: 'PING', length: 4 },
  3: { name: 'POSTCOPY_ADVISE' },
  4: { name: 'POSTCOPY_LISTEN', length: 0 },
  5: { name: 'POSTCOPY_RUN', length: 0 },
  6: { name: 'POSTCOPY_RAM_DISCARD' },
  7: { name: 'PACKAGED', length: 4 },
  8: { name: 'ENABLE_COLO', length: 0 },
  9: { name: 'POSTCOPY_RESUME', length: 0 },
  10: { name: 'RECV_BITMAP' },
  11: { name: 'SWITCHOVER_START', length: 0 },
}

/** A command from the source to the destination, between two sections. */
export interface QemuCommand {
  /** As in QEMU's sources, without `MIG_CMD_`: `SWITCHOVER_START`. */
  readonly name: string
  /** Where in the stream it begins, in bytes. */
  readonly offset: number
}

/** The bytes of a package, which are elements of a stream themselves. */
export interface Package {
  readonly offset: number
  readonly bytes: Buffer
}

/** A command behind its mark, which is at `offset`. */
export function* readCommand(
  reader: ByteReader,
  offset: number,
): Parser<{ command: QemuCommand; contents?: Package }> {
  yield* reader.need(4, 'a command')
  const code = reader.u16()
  const length = reader.u16()
  const known = commands[code]
  if (known === undefined) throw unsupported(`The command ${code} is not known`, offset)
  const { name } = known
  if (known.length !== undefined && length !== known.length) {
    throw malformed(`The command ${name} has ${length} bytes of data, not ${known.length}`, offset)
  }
  if (name !== 'PACKAGED') {
    yield* reader.skip(length, `the command ${name}`)
    return { command: { name, offset } }
  }
  yield* reader.need(4, 'the length of a package')
  const size = reader.u32()
  if (size > HELD_LIMIT) {
    throw overLimit(`A package of ${size} bytes, more than ${HELD_LIMIT}`, offset)
  }
  const start = reader.offset
  const bytes = yield* reader.take(size, HELD_LIMIT, 'a package')
  return { command: { name, offset }, contents: { offset: start, bytes } }
}
