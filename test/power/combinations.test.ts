import { expect, test } from 'vitest'
import { allMachines, kernelNames, runsGuests } from 'power-host'
import { allCombinations } from './combinations.ts'

const count = (values: readonly unknown[]): number => new Set(values).size

test('each machine with each kernel that has KVM there, once', () => {
  const all = allCombinations().map(({ machine, kernel }) => `${machine.title} ${kernel}`)
  const expected = allMachines().flatMap((machine) =>
    kernelNames
      .filter((kernel) => runsGuests(machine, kernel))
      .map((kernel) => `${machine.title} ${kernel}`),
  )
  expect([...all].sort()).toEqual(expected.sort())
  expect(all).not.toContain('papr POWER10 6.1')
  expect(count(all)).toBe(all.length)
})

test('the first few have seen every machine and every kernel', () => {
  const first = allCombinations().slice(0, allMachines().length)
  expect(count(first.map(({ machine }) => machine.title))).toBe(allMachines().length)
  expect(count(first.map(({ kernel }) => kernel))).toBe(kernelNames.length)
})
