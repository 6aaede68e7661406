import { describe, expectTypeOf, it } from 'vitest'
import {
  array,
  bool,
  buffer,
  cpuTimebase,
  decode,
  encode,
  equal,
  int64,
  since,
  struct,
  structPointer,
  timebase,
  uint16,
  uint32,
  unused,
  vmstate,
  when,
} from '../../lib/vmstate/index.ts'
import type { DestinationOf, StateOf, cpu, spapr } from '../../lib/vmstate/index.ts'

declare const bytes: Uint8Array

const leaf = vmstate({
  name: 'dev/leaf',
  versionId: 1,
  minimumVersionId: 1,
  fields: { hz: equal(uint32), of: bool },
})

const dev = vmstate({
  name: 'dev',
  versionId: 2,
  minimumVersionId: 1,
  fields: {
    n: uint16,
    list: array(int64, 'n'),
    grid: array(array(bool, 2), 2),
    data: buffer(4),
    pad: unused(4),
    oldPad: when(() => false, unused(4)),
    wide: since(2, int64),
    leaves: array(struct(timebase), 1),
    to: when(() => true, structPointer(leaf)),
  },
  subsections: { leaf },
})

describe('the state of a description', () => {
  it('has the type of every field, may lack what need not be there, and has no unused bytes', () => {
    expectTypeOf<StateOf<typeof dev>>().toEqualTypeOf<{
      readonly n: number
      readonly list: readonly bigint[]
      readonly grid: readonly (readonly boolean[])[]
      readonly data: Uint8Array
      readonly leaves: readonly {
        readonly guest_timebase: bigint
        readonly time_of_the_day_ns: bigint
      }[]
      readonly wide?: bigint
      readonly to?: { readonly hz: number; readonly of: boolean }
      readonly leaf?: { readonly hz: number; readonly of: boolean }
    }>()
  })

  it('is what decode gives and encode takes', () => {
    const state = decode(dev, bytes, { destination: 'unknown' })
    expectTypeOf(state).toEqualTypeOf<StateOf<typeof dev>>()
    expectTypeOf(encode(dev, state)).toEqualTypeOf<Uint8Array>()
    expectTypeOf(decode(timebase, bytes)).toEqualTypeOf<{
      readonly guest_timebase: bigint
      readonly time_of_the_day_ns: bigint
    }>()
    // @ts-expect-error 64 bits are a bigint
    encode(timebase, { guest_timebase: 1, time_of_the_day_ns: 1n })
    // @ts-expect-error a field is missing
    encode(timebase, { guest_timebase: 1n })
    // @ts-expect-error another description's state
    encode(cpuTimebase, decode(timebase, bytes))
  })

  it('has the timebase from version 6 on in cpu, and from version 2 on in spapr', () => {
    expectTypeOf<StateOf<typeof cpu>['timebase']>().toEqualTypeOf<
      StateOf<typeof cpuTimebase> | undefined
    >()
    expectTypeOf<StateOf<typeof spapr>['tb']>().toEqualTypeOf<
      StateOf<typeof timebase> | undefined
    >()
  })
})

describe('the destination of a description', () => {
  it('has what equal fields are compared with, and what pointers lead to', () => {
    expectTypeOf<DestinationOf<typeof dev>>().toEqualTypeOf<{
      readonly to?: { readonly hz: number }
      readonly leaf?: { readonly hz: number }
    }>()
    expectTypeOf<DestinationOf<typeof timebase>>().toBeNever()
    expectTypeOf<DestinationOf<typeof cpuTimebase>>().toEqualTypeOf<{ readonly tb_freq: number }>()
    expectTypeOf<DestinationOf<typeof cpu>['timebase']>().toEqualTypeOf<
      { readonly tb_freq: number } | undefined
    >()
  })

  it('must be given where there is one', () => {
    decode(cpuTimebase, bytes, { destination: { tb_freq: 512_000_000 } })
    decode(cpuTimebase, bytes, { destination: 'unknown', versionId: 1 })
    // @ts-expect-error nothing to compare tb_freq with
    decode(cpuTimebase, bytes)
    // @ts-expect-error nor if there are other options
    decode(cpuTimebase, bytes, { versionId: 1 })
    // @ts-expect-error 32 bits are a number
    decode(cpuTimebase, bytes, { destination: { tb_freq: 512_000_000n } })
    // @ts-expect-error a letter is wrong
    decode(timebase, bytes, { versionID: 1 })
  })
})

describe('a description', () => {
  it('has hooks that know its state', () => {
    vmstate({
      name: 'dev',
      versionId: 1,
      minimumVersionId: 1,
      fields: { a: uint32 },
      preSave: (state) => {
        expectTypeOf(state).toEqualTypeOf<{ readonly a: number }>()
        return { a: state.a + 1 }
      },
      // @ts-expect-error another state
      postLoad: () => ({ b: 1 }),
    })
  })

  it('has no kind where it has no place', () => {
    // @ts-expect-error only scalars can be equal
    equal(buffer(2))
    // @ts-expect-error pointers are no elements
    array(structPointer(leaf), 2)
    // @ts-expect-error a number is no kind
    since(2, 8)
  })
})
