import fc from 'fast-check'
import * as v from '../../lib/vmstate/index.ts'
import type { FieldKind, Fields, Subsections, VmstateDescription } from '../../lib/vmstate/index.ts'

/** A description, and the states that it can write. */
export interface Described {
  readonly description: VmstateDescription
  readonly states: fc.Arbitrary<unknown>
}

/** A kind of field, and the values that such a field can have. */
interface Valued<K extends FieldKind = FieldKind> {
  readonly kind: K
  readonly values: fc.Arbitrary<unknown>
}

function whole(bits: number, signed: boolean): fc.Arbitrary<number> {
  return signed
    ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
    : fc.integer({ min: 0, max: 2 ** bits - 1 })
}

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })

const scalars = [
  { kind: v.uint8, values: whole(8, false) },
  { kind: v.uint16, values: whole(16, false) },
  { kind: v.uint32, values: whole(32, false) },
  { kind: v.uint64, values: u64 },
  { kind: v.int8, values: whole(8, true) },
  { kind: v.int16, values: whole(16, true) },
  { kind: v.int32, values: whole(32, true) },
  { kind: v.int64, values: i64 },
  { kind: v.bool, values: fc.boolean() },
] as const

const scalar = fc.constantFrom(...scalars)

const sizes = fc.nat(4)

/** A buffer with a fixed length, so that it can be an element of any array. */
function fixed(length: number): Valued<ReturnType<typeof v.buffer>> {
  return { kind: v.buffer(length), values: bytesOf(length) }
}

function bytesOf(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length })
}

function listOf(values: fc.Arbitrary<unknown>, length: number): fc.Arbitrary<unknown[]> {
  return fc.array(values, { minLength: length, maxLength: length })
}

/** One field, or a count and the array or buffer whose length it is. */
type Entry = readonly (readonly [name: string, kind: FieldKind])[]

interface Part {
  readonly entry: Entry
  readonly values: fc.Arbitrary<Record<string, unknown>>
}

function plain(name: string, { kind, values }: Valued): Part {
  return { entry: [[name, kind]], values: values.map((value) => ({ [name]: value })) }
}

function padding(name: string, length: number): Part {
  return { entry: [[name, v.unused(length)]], values: fc.constant({}) }
}

/** A field that may or may not be there, by a flag before it. */
function uncertain(name: string, { kind, values }: Valued): Part {
  const flag = `${name}_there`
  return {
    entry: [
      [flag, v.bool],
      [name, v.when((earlier) => earlier[flag] === true, kind)],
    ],
    values: fc.oneof(
      fc.constant({ [flag]: false }),
      values.map((value) => ({ [flag]: true, [name]: value })),
    ),
  }
}

function counted(name: string, of: Valued | 'bytes'): Part {
  const count = `${name}_count`
  const field = of === 'bytes' ? v.buffer(count) : v.array(of.kind as typeof v.uint8, count)
  return {
    entry: [
      [count, v.uint16],
      [name, field],
    ],
    values: sizes.chain((length) => {
      const values: fc.Arbitrary<unknown> =
        of === 'bytes' ? bytesOf(length) : listOf(of.values, length)
      return values.map((value) => ({ [count]: length, [name]: value }))
    }),
  }
}

function part(name: string, inner: fc.Arbitrary<Described>): fc.Arbitrary<Part> {
  const structs = inner.map(({ description, states }) => ({ description, values: states }))
  return fc.oneof(
    scalar.map((one) => plain(name, one)),
    scalar.map((one) => uncertain(name, one)),
    scalar.map(({ kind, values }) => plain(name, { kind: v.equal(kind), values })),
    scalar.map((one) => counted(name, one)),
    fc.constant(counted(name, 'bytes')),
    sizes.map((length) => plain(name, fixed(length))),
    fc.tuple(scalar, sizes).map(([{ kind, values }, length]) =>
      plain(name, {
        kind: v.array(kind as typeof v.uint8, length),
        values: listOf(values, length),
      }),
    ),
    sizes.map((length) => padding(name, length)),
    structs.map(({ description, values }) => plain(name, { kind: v.struct(description), values })),
    structs.map(({ description, values }) =>
      uncertain(name, { kind: v.structPointer(description), values }),
    ),
  )
}

/**
 * Any description with up to `depth` others inside, and its states at its newest version. Each has a
 * name of its own: QEMU tells by the names alone to which struct a subsection belongs, so an empty
 * struct takes one that comes after it for its own if it can.
 */
export function descriptions(depth: number, name = 'dev'): fc.Arbitrary<Described> {
  const innerOf = (field: string) =>
    depth === 0
      ? fc.constant(leaf(`${field}.${name}`))
      : descriptions(depth - 1, `${field}.${name}`)
  const parts = fc.nat(5).chain((length) => {
    const names = Array.from({ length }, (_, index) => `f${index}`)
    return fc.tuple(...names.map((field) => part(field, innerOf(field))))
  })
  const subsections =
    depth === 0 ? fc.constant([]) : fc.array(descriptions(0, `${name}/sub`), { maxLength: 1 })
  return fc.tuple(parts, subsections).map(([all, subs]) => described(name, all, subs))
}

function leaf(name: string): Described {
  return described(name, [plain('x', scalars[2])], [])
}

function described(name: string, parts: readonly Part[], subs: readonly Described[]): Described {
  const fields: Fields = Object.fromEntries(parts.flatMap(({ entry }) => entry))
  const subsections: Subsections = Object.fromEntries(
    subs.map(({ description }, index) => [`s${index}`, description]),
  )
  const states = fc
    .tuple(
      fc.tuple(...parts.map(({ values }) => values)),
      fc.tuple(...subs.map((sub) => fc.option(sub.states, { nil: undefined }))),
    )
    .map(
      ([values, held]) =>
        Object.assign(
          {},
          ...values,
          ...held.map((state, index) => (state === undefined ? {} : { [`s${index}`]: state })),
        ) as Record<string, unknown>,
    )
  return {
    description: v.vmstate({ name, versionId: 1, minimumVersionId: 1, fields, subsections }),
    states,
  }
}

/** A description with one of its states. */
export const describedStates = descriptions(2).chain(({ description, states }) =>
  states.map((state) => ({ description, state })),
)

/** Plain objects, as decode makes them; all fields are required unless some are named. */
function record(
  fields: Record<string, fc.Arbitrary<unknown>>,
  requiredKeys: string[] = Object.keys(fields),
): fc.Arbitrary<unknown> {
  return fc.record(fields, { requiredKeys, noNullPrototype: true })
}

const timebases = record({
  timebase: u64,
  tb_offset: i64,
  time_of_the_day: u64,
  tb_freq: whole(32, false),
})

const qemuTimebases = record({ guest_timebase: u64, time_of_the_day_ns: i64 })

const cpus = record(
  {
    pvr: u64,
    gpr: listOf(u64, 32),
    crf: listOf(whole(32, false), 8),
    nip: u64,
    // Mostly 0, like real ones.
    spr: listOf(fc.oneof({ weight: 20, arbitrary: fc.constant(0n) }, u64), 1024),
    spe_acc: u64,
    reserve_addr: u64,
    msr: u64,
    hflags_nmsr: u64,
    msr_mask: u64,
    insns_flags: u64,
    insns_flags2: u64,
    nb_BATs: whole(32, false),
    timebase: timebases,
    fpu: record({ fpr: listOf(u64, 32), fpscr: u64 }),
    altivec: record({ avr: listOf(bytesOf(16), 32), vscr: whole(32, false) }),
    slb: record({
      slb_nr: whole(32, true),
      slb: listOf(record({ esid: u64, vsid: u64 }), 64),
    }),
  },
  Object.keys(v.cpu.fields),
)

const trees = fc.uint8Array({ maxLength: 40 }).map((fdt_blob) => ({
  fdt_initial_size: 1,
  fdt_size: fdt_blob.length,
  fdt_blob,
}))

const sprs = record(
  {
    tb: qemuTimebases,
    ov5_cas: record({ bitmap: bytesOf(256) }),
    patb_entry: record({ patb_entry: u64 }),
    cap_htm: record({ value: whole(8, false) }),
    dtb: trees,
    fwnmi: record({
      fwnmi_system_reset_addr: u64,
      fwnmi_machine_check_addr: u64,
      fwnmi_machine_check_interlock: whole(32, true),
    }),
  },
  ['tb'],
)

/** The descriptions that the library exports. */
export const ownDescriptions: readonly (Described & { readonly name: string })[] = [
  { name: 'cpu/timebase', description: v.cpuTimebase, states: timebases },
  { name: 'cpu', description: v.cpu, states: cpus },
  { name: 'timebase', description: v.timebase, states: qemuTimebases },
  { name: 'spapr', description: v.spapr, states: sprs },
]
