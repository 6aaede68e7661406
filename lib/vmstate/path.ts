/** The path of a field in a state, for errors: `cpu.timebase.tb_freq`, `cpu.slb[3].esid`. */
export class Path {
  /** Names, and the indices of elements. */
  readonly #parts: (string | number)[] = []

  enter(name: string): void {
    this.#parts.push(name)
  }

  enterElement(index: number): void {
    this.#parts.push(index)
  }

  leave(): void {
    this.#parts.pop()
  }

  toString(): string {
    return joined(this.#parts)
  }

  /** The same path in another object: `options.destination.timebase.tb_freq`. */
  in(object: string): string {
    return joined([object, ...this.#parts.slice(1)])
  }
}

function joined([first = '', ...rest]: readonly (string | number)[]): string {
  return rest.reduce<string>(
    (path, part) => (typeof part === 'number' ? `${path}[${part}]` : `${path}.${part}`),
    first.toString(),
  )
}
