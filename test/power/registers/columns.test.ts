import { expect, it } from 'vitest'
import { registerColumns } from './columns.ts'

const same = { readable: true, writable: 'all' } as const
const columns = {
  'nested v1': { DAR: same, WORT: same },
  'nested v2': {
    DAR: same,
    WORT: { ...same, run: ['00000001cacacaca', '00000000cacacaca'] as const },
    HIOR: { readable: true, writable: 'some' } as const,
  },
}

it('has a row for each register in which hosts differ or that a run changes', () => {
  expect(registerColumns(columns, false)).toBe(
    '|      | nested v1      | nested v2                                        |\n' +
      '| ---- | -------------- | ------------------------------------------------ |\n' +
      '| all  | 2 can be read  | 3 can be read                                    |\n' +
      '| WORT | keeps all bits | keeps all bits; a run: 0x1cacacaca to 0xcacacaca |\n' +
      '| HIOR | absent         | keeps some bits                                  |\n',
  )
})

it('has all of them if all are asked for', () => {
  expect(registerColumns(columns, true)).toContain('| DAR ')
})
