/**
 * Programs for a pseries guest that show its timebase. One only reads the timebase into r30 in an endless loop,
 * and sets r31 to show that it runs. Another also writes it to memory, and a third prints it.
 */

/** The value of r31 after the program has started. */
export const RUNNING = 0x600d_600dn

/** The hypercall H_REGISTER_PROC_TBL, by which a guest chooses radix page tables, and its arguments (PAPR). */
const H_REGISTER_PROC_TBL = 0x37c
const REGISTER_RADIX = 0x1c
const TABLE_SIZE = 4

const TBL = 268

const li = (register: number, value: number): number => 0x38000000 | (register << 21) | value
const lis = (register: number, value: number): number => 0x3c000000 | (register << 21) | value
const ori = (register: number, value: number): number =>
  0x60000000 | (register << 21) | (register << 16) | value
const mr = (to: number, from: number): number =>
  0x7c000378 | (from << 21) | (to << 16) | (from << 11)
const mfspr = (register: number, spr: number): number =>
  0x7c0002a6 | (register << 21) | ((spr & 0x1f) << 16) | ((spr >> 5) << 11)
const addi = (to: number, from: number, value: number): number =>
  0x38000000 | (to << 21) | (from << 16) | value
const andi = (to: number, from: number, value: number): number =>
  0x70000000 | (from << 21) | (to << 16) | value
/** Encodes stdx: stores 8 bytes at the sum of two registers. */
const storeIndexed = (register: number, base: number, index: number): number =>
  0x7c00012a | (register << 21) | (base << 16) | (index << 11)
const sc1 = 0x44000022
/** Encodes a branch back by this number of instructions. */
const branchBack = (count: number): number => 0x48000000 | ((-4 * count) & 0x03fffffc)

/** The instructions that choose radix page tables. Afterwards r29 has the hypervisor's answer: 0 for success. */
const chooseRadix = [
  li(3, H_REGISTER_PROC_TBL),
  li(4, REGISTER_RADIX),
  lis(5, 0x100),
  li(6, 0),
  li(7, TABLE_SIZE),
  sc1,
  mr(29, 3),
]

const keepHash = [li(29, 0)]

/** The program for QEMU's `-kernel`: an ELF file with one segment, which begins with the first instruction. */
export function guestProgram(mmu: 'hash' | 'radix'): Buffer {
  const words = [
    ...(mmu === 'radix' ? chooseRadix : keepHash),
    lis(31, Number(RUNNING >> 16n)),
    ori(31, Number(RUNNING & 0xffffn)),
    mfspr(30, TBL),
    branchBack(1),
  ]
  return executable(words)
}

/** The first of 16 pages to which {@link writingProgram} writes. */
const WRITTEN_PAGES = 0x0200_0000

/**
 * Like {@link guestProgram}, but it also stores each timebase, each time in the next of 16 pages. So a migration
 * finds pages that change while it runs.
 */
export function writingProgram(mmu: 'hash' | 'radix'): Buffer {
  return executable([
    ...(mmu === 'radix' ? chooseRadix : keepHash),
    lis(31, Number(RUNNING >> 16n)),
    ori(31, Number(RUNNING & 0xffffn)),
    lis(28, WRITTEN_PAGES >>> 16),
    li(27, 0),
    mfspr(30, TBL),
    storeIndexed(30, 28, 27),
    addi(27, 27, 0x1000),
    andi(27, 27, 0xf000),
    branchBack(4),
  ])
}

/** H_PUT_TERM_CHAR, by which a guest prints up to 16 bytes out of r6 and r7 (PAPR). */
const H_PUT_TERM_CHAR = 0x58

/** Where {@link printingProgram} expects its console, a spapr-vty. */
export const CONSOLE_ADDRESS = 0x3000_0000

/**
 * Like {@link guestProgram}, but it prints every timebase that it reads on its console, as 8 bytes, big-endian.
 * It does not choose radix page tables.
 */
export function printingProgram(): Buffer {
  return executable([
    lis(4, CONSOLE_ADDRESS >>> 16),
    li(5, 8),
    li(3, H_PUT_TERM_CHAR),
    mfspr(6, TBL),
    sc1,
    branchBack(5),
  ])
}

function executable(words: readonly number[]): Buffer {
  const code = Buffer.alloc(words.length * 4)
  words.forEach((word, index) => code.writeUInt32BE(word >>> 0, index * 4))
  return Buffer.concat([elfHeader(), programHeader(code.length), code])
}

const ELF_HEADER_SIZE = 64
const PROGRAM_HEADER_SIZE = 56

/** 64 bits, big-endian, an executable for PPC64. */
function elfHeader(): Buffer {
  const header = Buffer.alloc(ELF_HEADER_SIZE)
  header.write('\x7fELF\x02\x02\x01', 'latin1')
  header.writeUInt16BE(2, 16)
  header.writeUInt16BE(21, 18)
  header.writeUInt32BE(1, 20)
  header.writeBigUInt64BE(BigInt(ELF_HEADER_SIZE), 32)
  header.writeUInt16BE(ELF_HEADER_SIZE, 52)
  header.writeUInt16BE(PROGRAM_HEADER_SIZE, 54)
  header.writeUInt16BE(1, 56)
  return header
}

/** One segment at address 0, which QEMU moves to where kernels go. */
function programHeader(size: number): Buffer {
  const header = Buffer.alloc(PROGRAM_HEADER_SIZE)
  header.writeUInt32BE(1, 0)
  header.writeUInt32BE(7, 4)
  header.writeBigUInt64BE(BigInt(ELF_HEADER_SIZE + PROGRAM_HEADER_SIZE), 8)
  header.writeBigUInt64BE(BigInt(size), 32)
  header.writeBigUInt64BE(BigInt(size), 40)
  header.writeBigUInt64BE(4n, 48)
  return header
}
