/** Figures of a run on real KVM, for the log: they are what a reader of CI wants to see. */
export function report(title: string, figures: Record<string, string | number | bigint>): void {
  const text = Object.entries(figures).map(([name, value]) => `${name} ${value}`)
  console.log(`${title}: ${text.join(', ')}`)
}

/** Ticks at 512 MHz as microseconds. */
export function microseconds(ticks: bigint): string {
  return `${(Number(ticks) / 512).toFixed(1)} µs`
}

export function median(values: readonly bigint[]): bigint {
  return sorted(values)[Math.floor(values.length / 2)] ?? 0n
}

export function largest(values: readonly bigint[]): bigint {
  return sorted(values).at(-1) ?? 0n
}

export function smallest(values: readonly bigint[]): bigint {
  return sorted(values)[0] ?? 0n
}

export function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n)
}

function sorted(values: readonly bigint[]): bigint[] {
  return [...values].sort((a, b) => (a < b ? -1 : Number(a > b)))
}
