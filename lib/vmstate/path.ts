/** Where in a description's state we are, for errors: `cpu.timebase.tb_freq`, `cpu.slb[3].esid`. */
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

  /** The same place in another object of that shape: `options.destination.timebase.tb_freq`. */
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
