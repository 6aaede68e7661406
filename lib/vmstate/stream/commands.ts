import type { ByteReader, Parser } from './bytes.ts'
import { malformed, overLimit, unsupported } from './errors.ts'
import { HELD_LIMIT } from './limits.ts'

/**
 * With two page sizes as data, POSTCOPY_ADVISE prepares for postcopy of RAM; without data, for that of dirty
 * bitmaps alone.
 */
const ADVISE_RAM_BYTES = 16

/**
 * The commands by code. `lengths` are the lengths that a command's data can have, in bytes; without it any
 * length is valid (QEMU, migration/savevm.c: mig_cmd_args, loadvm_postcopy_handle_advise).
 */
const commands: Readonly<
  Record<number, { readonly name: string; readonly lengths?: readonly number[] }>
> = {
  1: { name: 'OPEN_RETURN_PATH', lengths: [0] },
  2: { name: 'PING', lengths: [4] },
  3: { name: 'POSTCOPY_ADVISE', lengths: [0, ADVISE_RAM_BYTES] },
  4: { name: 'POSTCOPY_LISTEN', lengths: [0] },
  5: { name: 'POSTCOPY_RUN', lengths: [0] },
  6: { name: 'POSTCOPY_RAM_DISCARD' },
  7: { name: 'PACKAGED', lengths: [4] },
  8: { name: 'ENABLE_COLO', lengths: [0] },
  9: { name: 'POSTCOPY_RESUME', lengths: [0] },
  10: { name: 'RECV_BITMAP' },
  11: { name: 'SWITCHOVER_START', lengths: [0] },
}

/**
 * A command from the source to the destination, between two sections.
 *
 * @group Streams
 */
export interface QemuCommand {
  /** The name in QEMU's sources without `MIG_CMD_`, such as `SWITCHOVER_START`. */
  readonly name: string
  /** The offset of the command in the stream, in bytes. */
  readonly offset: number
}

/** The contents of a package: sections and commands, like those of the stream around it. */
export interface Package {
  readonly offset: number
  readonly bytes: Buffer
}

/** A command, with what the reader of the following sections must know of it. */
interface ReadCommand {
  readonly command: QemuCommand
  readonly contents?: Package
  /** Whether it prepares for postcopy of RAM. */
  readonly advisesRam: boolean
}

/**
 * Reads a command whose mark, at `offset`, was read already.
 *
 * @param room how many bytes of packages may still be kept in memory
 */
export function* readCommand(
  reader: ByteReader,
  offset: number,
  room: number,
): Parser<ReadCommand> {
  yield* reader.need(4, 'a command')
  const code = reader.u16()
  const length = reader.u16()
  const known = commands[code]
  if (known === undefined) throw unsupported(`The command ${code} is not known`, offset)
  const { name, lengths } = known
  if (name === 'ENABLE_COLO') {
    throw unsupported(
      'The stream is one of a migration with COLO (command ENABLE_COLO), which goes on with checkpoints; this release does not read those',
      offset,
    )
  }
  if (lengths?.includes(length) === false) {
    throw malformed(
      `The command ${name} has ${length} bytes of data, not ${lengths.join(' or ')}`,
      offset,
    )
  }
  if (name !== 'PACKAGED') {
    yield* reader.skip(length, `the command ${name}`)
    const advisesRam = name === 'POSTCOPY_ADVISE' && length === ADVISE_RAM_BYTES
    return { command: { name, offset }, advisesRam }
  }
  yield* reader.need(4, 'the length of a package')
  const size = reader.u32()
  if (size > room) {
    throw overLimit(
      `A package of ${size} bytes: packages have more than ${HELD_LIMIT} in all`,
      offset,
    )
  }
  const start = reader.offset
  const bytes = yield* reader.take(size, 'a package')
  return { command: { name, offset }, contents: { offset: start, bytes }, advisesRam: false }
}
