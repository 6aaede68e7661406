/** Pieces of migration streams, written byte by byte, for tests that need one of an unusual kind. */

export const GUEST_TIMEBASE = 0x0123_4567_89ab_cdefn
export const TIME_OF_DAY_NS = 1_700_000_000_123_456_000n
export const CLOCK_NS = 1_000_001n
/** CLOCK_NS · 512 / 1000, rounded down. */
export const VIRTUAL_CLOCK_TIMEBASE = 512_000n

export const RAM_ID = 2
export const HTAB_ID = 563
export const BLOCK = 'ppc_spapr.ram'
export const BLOCK_BYTES = 0x10000

type Piece = Buffer | number[]

export function join(...pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece)))
}

export const u16 = (value: number): Buffer => number(2, (b) => b.writeUInt16BE(value))
export const u32 = (value: number): Buffer => number(4, (b) => b.writeUInt32BE(value))
export const u64 = (value: bigint): Buffer => number(8, (b) => b.writeBigUInt64BE(value))
export const i64 = (value: bigint): Buffer => number(8, (b) => b.writeBigInt64BE(value))
export const text = (value: string): Buffer => join([value.length], Buffer.from(value))

function number(length: number, write: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(length)
  write(bytes)
  return bytes
}

export const header = join(Buffer.from('QEVM'), u32(3))
export const endMark = Buffer.of(0)

export function configuration(machine: string, ...subsections: readonly Piece[]): Buffer {
  return join([7], u32(machine.length), Buffer.from(machine), ...subsections)
}

export function subsection(name: string, version: number, ...fields: readonly Piece[]): Buffer {
  return join([5], text(name), u32(version), ...fields)
}

export function capabilities(...names: readonly string[]): Buffer {
  return subsection(
    'configuration/capabilities',
    1,
    u32(names.length),
    ...names.map((name) => text(name)),
  )
}

export const footer = (id: number): Buffer => join([0x7e], u32(id))

/** A start (1) or full (4) section. */
function headed(
  type: number,
  id: number,
  name: string,
  instance: number,
  version: number,
  body: Piece,
): Buffer {
  return join([type], u32(id), text(name), u32(instance), u32(version), body)
}

export function start(
  id: number,
  name: string,
  version: number,
  ...body: readonly Piece[]
): Buffer {
  return join(headed(1, id, name, 0, version, join(...body)), footer(id))
}

export function part(id: number, ...body: readonly Piece[]): Buffer {
  return join([2], u32(id), ...body, footer(id))
}

export function end(id: number, ...body: readonly Piece[]): Buffer {
  return join([3], u32(id), ...body, footer(id))
}

export function full(id: number, name: string, version: number, ...body: readonly Piece[]): Buffer {
  return join(headed(4, id, name, 0, version, join(...body)), footer(id))
}

export function command(code: number, ...data: readonly Piece[]): Buffer {
  const bytes = join(...data)
  return join([8], u16(code), u16(bytes.length), bytes)
}

/** A RAM record: its flags, the page's address, and what follows. */
export function record(flags: number, address: number, ...rest: readonly Piece[]): Buffer {
  return join(u64(BigInt(address + flags)), ...rest)
}

export const EOS = record(0x10, 0)
export const blockList = (...rest: readonly Piece[]): Buffer =>
  record(4, BLOCK_BYTES, text(BLOCK), u64(BigInt(BLOCK_BYTES)), ...rest)

export const ramStart = start(RAM_ID, 'ram', 4, blockList(), EOS)
export const ramPart = part(
  RAM_ID,
  record(0x08, 0, text(BLOCK), Buffer.alloc(4096, 'page')),
  record(0x22, 0x1000, [0]),
  EOS,
)
export const ramEnd = end(RAM_ID, EOS)
export const htabStart = start(HTAB_ID, 'spapr/htab', 1, u32(18))
export const htabEnd = end(
  HTAB_ID,
  u32(0),
  join(u32(5), u16(2), u16(3), Buffer.alloc(32, 1)),
  Buffer.alloc(8),
)

export const tb = join(u64(GUEST_TIMEBASE), i64(TIME_OF_DAY_NS))
export const timer = full(0, 'timer', 2, i64(-5n), Buffer.alloc(8), i64(CLOCK_NS))
export const spaprFwnmi = subsection('spapr_fwnmi', 1, u32(7))
export const spapr = full(21, 'spapr', 3, tb, spaprFwnmi)

export const integer = (name: string, type: string, size: number): object => ({ name, type, size })

const tbFields = {
  vmsd_name: 'timebase',
  version: 1,
  fields: [integer('guest_timebase', 'uint64', 8), integer('time_of_the_day_ns', 'int64', 8)],
}
export const tbField = { name: 'tb', type: 'struct', size: 16, struct: tbFields }

export const describedTimer = {
  name: 'timer',
  instance_id: 0,
  vmsd_name: 'timer',
  version: 2,
  fields: [
    integer('cpu_ticks_offset', 'int64', 8),
    integer('unused', 'unused_buffer', 8),
    integer('cpu_clock_offset', 'int64', 8),
  ],
}

export const describedSpapr = {
  name: 'spapr',
  instance_id: 0,
  vmsd_name: 'spapr',
  version: 3,
  fields: [tbField],
  subsections: [{ vmsd_name: 'spapr_fwnmi', version: 1, fields: [integer('fwnmi', 'uint32', 4)] }],
}

export function description(devices: readonly unknown[], rest: object = {}): Buffer {
  const json = Buffer.from(JSON.stringify({ page_size: 4096, devices, ...rest }))
  return join([6], u32(json.length), json)
}

/** What comes before the devices of an ordinary stream. */
export const front = join(
  header,
  configuration('pseries-7.2'),
  ramStart,
  htabStart,
  ramPart,
  ramEnd,
  htabEnd,
)

/** A stream with a further device between `timer` and `spapr`. */
export function streamWith(device: Buffer, described: object): Buffer {
  return join(
    front,
    timer,
    device,
    spapr,
    endMark,
    description([describedTimer, described, describedSpapr]),
  )
}

/** A whole stream that is as small and as ordinary as can be. */
export const ordinary = join(
  front,
  timer,
  spapr,
  endMark,
  description([describedTimer, describedSpapr]),
)
