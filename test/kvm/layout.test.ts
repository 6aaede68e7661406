import { expect, it } from 'vitest'
import { LastLayout, layoutOf } from '../../lib/kvm/layout.ts'
import { registers } from '../../lib/registers.ts'

it('a layout is used again for the same names, and for no others', () => {
  const last = new LastLayout()
  const empty = last.of([])
  expect(empty).toEqual({ names: [], registers: [], ids: new BigUint64Array() })
  expect(last.of([])).toBe(empty)
  const names = ['DAR', 'VR0'] as const
  const layout = last.of(names)
  expect(layout).toEqual({
    names,
    registers: [
      { name: 'DAR', width: 64 },
      { name: 'VR0', width: 128 },
    ],
    ids: BigUint64Array.of(registers.DAR.id, registers.VR0.id),
  })
  expect(last.of([...names])).toBe(layout)
  for (const others of [['DAR'], ['DAR', 'VR1'], ['DSCR', 'VR0'], ['VR0', 'DAR'], []] as const) {
    expect(last.of(others)).toEqual(layoutOf(others))
    expect(last.of([...names, 'DSCR'])).toEqual(layoutOf([...names, 'DSCR']))
    expect(last.of(names)).toEqual(layout)
  }
})

it('a layout has the names in the order that it was given, and is used again for what was asked', () => {
  const last = new LastLayout((names) => [...names].reverse())
  const layout = last.of(['DAR', 'VR0'])
  expect(layout.names).toEqual(['VR0', 'DAR'])
  expect(last.of(['DAR', 'VR0'])).toBe(layout)
  expect(last.of(['VR0', 'DAR']).names).toEqual(['DAR', 'VR0'])
})

it('a name that is unknown leaves the last layout as it was', () => {
  const last = new LastLayout()
  const layout = last.of(['DAR'])
  expect(() => last.of(['NOT_ONE' as never])).toThrow(/must be a name of the table/)
  expect(last.of(['DAR'])).toBe(layout)
})
