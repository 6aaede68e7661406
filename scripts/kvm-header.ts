import { registerSize } from '../lib/registers.ts'

/** The registers that a header defines: ids by name, without `KVM_REG_PPC_`. */
export type HeaderRegisters = ReadonlyMap<string, bigint>

/** The columns of a register table that are compared; tests use short tables. */
export type RegisterTable = Readonly<
  Record<string, { readonly id: bigint; readonly width: number }>
>

export interface Comparison {
  /** Registers in the header that the table lacks. */
  missing: { name: string; id: bigint }[]
  /** Registers whose ids differ, or whose width in the table differs from that in the id. */
  different: { name: string; id: bigint; tableId: bigint; tableWidth: number }[]
  /** Registers in the table that the header lacks, which is normal for an older header. */
  extra: { name: string; id: bigint }[]
}

/** The header could not be read, or does not define KVM_REG_PPC_ registers. */
export class HeaderError extends Error {
  override name = 'HeaderError'
}

const PREFIX = 'KVM_REG_PPC_'

// From include/uapi/linux/kvm.h, which asm/kvm.h relies on and does not repeat
const architecture: [string, bigint] = ['KVM_REG_PPC', 0x1000000000000000n]
const sizes = new Map(
  ['U8', 'U16', 'U32', 'U64', 'U128', 'U256', 'U512', 'U1024', 'U2048'].map((unit, log2) => [
    `KVM_REG_SIZE_${unit}`,
    BigInt(log2) << 52n,
  ]),
)

/**
 * Finds every register that the text of an asm/kvm.h defines, including the members of families such as
 * `KVM_REG_PPC_FPR(n)`. Only ids with a size are registers: shifts, masks and KVM_REG_PPC_TM, the base of other
 * ids, are not.
 */
export function parseHeader(text: string): HeaderRegisters {
  const values = new Map([architecture, ...sizes])
  const registers = new Map<string, bigint>()
  const families: string[] = []
  for (const { name, parameters, body } of definitions(text)) {
    if (parameters !== undefined) {
      families.push(name)
      continue
    }
    const words = body.match(/\w+/g) ?? []
    if (!words.some((word) => word.startsWith('KVM_REG_PPC'))) continue
    const value = evaluate(body, values)
    if (value === undefined) throw new HeaderError(`cannot read ${PREFIX}${name}: ${body}`)
    values.set(PREFIX + name, value)
    if (words.some((word) => sizes.has(word) || registers.has(word.slice(PREFIX.length)))) {
      registers.set(name, value)
    }
  }
  for (const family of families) expandFamily(family, registers)
  if (registers.size === 0) throw new HeaderError('no KVM_REG_PPC_ register is defined in it')
  return registers
}

/** Compares a table with a header; names come in the order of the header or of the table. */
export function compareRegisters(header: HeaderRegisters, table: RegisterTable): Comparison {
  const result: Comparison = { missing: [], different: [], extra: [] }
  for (const [name, id] of header) {
    const entry = Object.hasOwn(table, name) ? table[name] : undefined
    if (entry === undefined) result.missing.push({ name, id })
    else if (entry.id !== id || entry.width !== widthOf(id)) {
      result.different.push({ name, id, tableId: entry.id, tableWidth: entry.width })
    }
  }
  for (const [name, { id }] of Object.entries(table)) {
    if (!header.has(name)) result.extra.push({ name, id })
  }
  return result
}

/** The width in bits that an id encodes. */
export function widthOf(id: bigint): number {
  return registerSize(id) * 8
}

interface Definition {
  name: string
  /** `(n)` of a function-like macro. */
  parameters: string | undefined
  body: string
}

function definitions(text: string): Definition[] {
  const plain = text
    .replace(/\\\r?\n/g, ' ')
    .replace(/\/\*.*?\*\//gs, ' ')
    .replace(/\/\/.*/g, '')
  const define = /^[ \t]*#[ \t]*define[ \t]+KVM_REG_PPC_(\w+)(\([^)]*\))?(.*)$/gm
  return Array.from(plain.matchAll(define), ([, name = '', parameters, body = '']) => ({
    name,
    parameters,
    body: body.trim(),
  }))
}

/** The value of names and numbers joined by `|`, or undefined if there is more to it. */
function evaluate(body: string, values: ReadonlyMap<string, bigint>): bigint | undefined {
  const inner = /^\((.*)\)$/.exec(body)?.[1] ?? body
  let result = 0n
  for (const operand of inner.split('|')) {
    const word = operand.trim()
    const number = /^(0x[\da-f]+|0|[1-9]\d*)[ul]*$/i.exec(word)?.[1]
    const value = number === undefined ? values.get(word) : BigInt(number)
    if (value === undefined) return undefined
    result |= value
  }
  return result
}

/** Adds the members between the first and the last of a family; the header defines only these two. */
function expandFamily(family: string, registers: Map<string, bigint>): void {
  const members = [...registers.keys()]
    .filter((name) => name.startsWith(family) && /^\d+$/.test(name.slice(family.length)))
    .map((name) => Number(name.slice(family.length)))
  const first = registers.get(`${family}0`)
  const last = Math.max(...members)
  if (first === undefined || last < 1) {
    throw new HeaderError(`${PREFIX}${family}(n) has no first or no last member`)
  }
  for (let n = 1; n < last; n++) registers.set(`${family}${n}`, first + BigInt(n))
}
