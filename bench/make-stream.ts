import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'

const PAGE_BYTES = 4096
const RECORD_BYTES = 8
const NAME = 'ppc_spapr.ram'

/** Flags of records (RAM_SAVE_FLAG_): a page of the same block, a page with its block's name, the end. */
const PAGE_CONTINUED = 0x28
const PAGE_NAMED = 0x08
const END_OF_RECORDS = 0x10

const PAGES_PER_SECTION = 2048

/** The id of `ram` in test/vmstate/stream/data/good/f-mini-ram.bin, and the head of its first part section. */
const RAM_ID = 2
const FIRST_PART = Buffer.from([0x02, 0, 0, 0, RAM_ID])

/**
 * Writes a stream like `base`, with more part sections in front of its first one. They contain `pages` pages
 * of random bytes, which cannot be compressed.
 */
export async function makeStream(path: string, base: Buffer, pages: number): Promise<void> {
  const at = base.indexOf(FIRST_PART)
  if (at === -1) throw new Error('The base has no part section of RAM')
  const file = createWriteStream(path)
  file.write(base.subarray(0, at))
  for (let done = 0; done < pages; done += PAGES_PER_SECTION) {
    const section = partSection(Math.min(PAGES_PER_SECTION, pages - done))
    if (!file.write(section)) await once(file, 'drain')
  }
  file.end(base.subarray(at))
  await finished(file)
}

/** A part section with pages from address 0 on, as if the guest had changed these pages again. */
function partSection(pages: number): Buffer {
  const name = Buffer.concat([Buffer.of(NAME.length), Buffer.from(NAME)])
  const length = FIRST_PART.length + name.length + pages * (RECORD_BYTES + PAGE_BYTES)
  const section = Buffer.alloc(length + RECORD_BYTES + FIRST_PART.length)
  randomFillSync(section)
  let at = FIRST_PART.copy(section)
  for (let page = 0; page < pages; page++) {
    const flags = page === 0 ? PAGE_NAMED : PAGE_CONTINUED
    at = section.writeBigUInt64BE(BigInt(page * PAGE_BYTES + flags), at)
    if (page === 0) at += name.copy(section, at)
    at += PAGE_BYTES
  }
  at = section.writeBigUInt64BE(BigInt(END_OF_RECORDS), at)
  section.set([0x7e, 0, 0, 0, RAM_ID], at)
  return section
}
