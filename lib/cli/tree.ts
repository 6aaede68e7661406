import type { QemuStruct, QemuValue } from '../vmstate/stream/types.ts'
import { widest } from './print.ts'

/** How much of bytes, and of arrays, is printed. */
const SHOWN_BYTES = 32
const SHOWN_ELEMENTS = 8

/** A decoded state of any format: values by name. */
type State = Readonly<Record<string, unknown>>

/** A structure in a stream, one line for each field; arrays and bytes are cut short. */
export function structLines({ fields, subsections }: Omit<QemuStruct, 'name'>): string[] {
  return [
    ...stateLines(fields),
    ...subsections.flatMap((each) => [
      `subsection ${each.name}, version ${each.version}`,
      ...indent(structLines(each)),
    ]),
  ]
}

/** The same for values by name, whatever they are. */
export function stateLines(state: State): string[] {
  const width = widest(Object.keys(state))
  return Object.entries(state).flatMap(([name, value]) => {
    if (isStruct(value)) return [name, ...indent(structLines(value))]
    if (isArrayOfObjects(value)) return arrayLines(name, value)
    if (isState(value)) return [name, ...indent(stateLines(value))]
    return [`${name.padEnd(width)}  ${valueText(value)}`]
  })
}

/** One line for each element, unless there is something in it that takes more. */
function arrayLines(name: string, elements: readonly State[]): string[] {
  const lines = elements.slice(0, SHOWN_ELEMENTS).flatMap((element, index) => {
    const heading = `${name}[${index}]`
    const state = isStruct(element) ? element.fields : element
    const isFlat = !Object.values(state).some(isNested)
    if (isFlat && !(isStruct(element) && element.subsections.length > 0)) {
      const values = Object.entries(state).map(([field, value]) => `${field} ${valueText(value)}`)
      return [`${heading}  ${values.join(', ')}`]
    }
    return [heading, ...indent(isStruct(element) ? structLines(element) : stateLines(element))]
  })
  const left = elements.length - SHOWN_ELEMENTS
  return left > 0 ? [...lines, `${name}: ${left} more`] : lines
}

function isNested(value: unknown): boolean {
  return isState(value) || isArrayOfObjects(value)
}

function valueText(value: unknown): string {
  if (value instanceof Uint8Array) {
    const digits = Buffer.from(value.subarray(0, SHOWN_BYTES)).toString('hex')
    const left = value.length - SHOWN_BYTES
    return left > 0 ? `${digits}… ${left} bytes more` : digits
  }
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const elements = value as unknown as ArrayLike<QemuValue>
    const shown = Math.min(elements.length, SHOWN_ELEMENTS)
    const texts = Array.from({ length: shown }, (_, index) => valueText(elements[index]))
    const left = elements.length - SHOWN_ELEMENTS
    return left > 0 ? `${texts.join(' ')} … ${left} more` : texts.join(' ')
  }
  return String(value)
}

function isStruct(value: unknown): value is QemuStruct {
  return isState(value) && Array.isArray(value['subsections']) && isState(value['fields'])
}

function isArrayOfObjects(value: unknown): value is readonly State[] {
  return Array.isArray(value) && value.length > 0 && value.every(isState)
}

function isState(value: unknown): value is State {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value)
  )
}

export function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}
