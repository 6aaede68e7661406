import type { ByteReader, Parser } from './bytes.ts'
import { malformed, unsupported } from './errors.ts'
import { PAGE_SIZE } from './ram-pages.ts'

const HEADER_BYTES = 28
const VERSION = 1
/** The image of a block begins at a multiple of this, so that it can be mapped. */
const ALIGNMENT = 1024 * 1024

/**
 * Skips the images of RAM in a stream with mapped-ram. Each follows its block in the list of blocks (QEMU,
 * migration/ram.c: MappedRamHeader).
 *
 * Their positions count from the beginning of the file that QEMU wrote. With `migrate file:…,offset=N`,
 * which libvirt uses for its sparse images, the stream begins further on in that file, so that all positions
 * are higher than those in the stream by the same number.
 */
export class MappedImages {
  /** The offset of the stream in the file that QEMU wrote, computed from the first image. */
  #shift: number | undefined;

  /** Checks the header of a block's image, and skips both. */
  *skip(reader: ByteReader, name: string, bytes: number): Parser<void> {
    const what = `the image of the RAM block ${name}`
    yield* reader.need(HEADER_BYTES, what)
    const at = reader.offset
    const version = reader.u32()
    const pageSize = reader.u64()
    const bitmap = reader.u64()
    const pages = reader.u64()
    if (version !== VERSION || pageSize !== BigInt(PAGE_SIZE)) {
      throw unsupported(
        `The image of the RAM block ${name} has version ${version} and pages of ${pageSize} bytes; this release reads version ${VERSION} and pages of ${PAGE_SIZE}`,
        at,
      )
    }
    const shift = (this.#shift ??= Number(bitmap) - reader.offset)
    const bitmapEnd = reader.offset + shift + 8 * Math.ceil(bytes / PAGE_SIZE / 64)
    const expected = ALIGNMENT * Math.ceil(bitmapEnd / ALIGNMENT)
    if (!Number.isSafeInteger(expected + bytes)) {
      throw unsupported(`The image of the RAM block ${name} ends beyond byte 2^53`, at)
    }
    if (shift < 0 || bitmap !== BigInt(reader.offset + shift) || pages !== BigInt(expected)) {
      const beginning = Math.max(shift, 0)
      throw malformed(
        `The image of the RAM block ${name} has its bitmap at byte ${bitmap} and its pages at ${pages}; in a stream that begins at byte ${beginning} they must be at ${reader.offset + beginning} and ${expected}`,
        at,
      )
    }
    yield* reader.skip(expected + bytes - shift - reader.offset, what)
  }
}
