import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BadStream, Expected, GoodStream } from '../expected.ts'

/** One migration that was tried, whether or not it gave a stream. */
export interface LedgerRow {
  readonly name: string
  readonly qemu: string
  readonly migration: string
  readonly machine: string
  readonly mmu: 'hash' | 'radix'
  /** Why QEMU did not do it, in its own words. */
  readonly refusal?: string
}

/** A folder of captures: expected.json is as in every folder of streams, captures.json lists what was tried. */
export class Ledger {
  readonly folder: string
  readonly rows: LedgerRow[] = []
  readonly good: Record<string, GoodStream> = {}
  readonly bad: Record<string, BadStream> = {}

  private constructor(folder: string) {
    this.folder = folder
  }

  /** Goes on with what is there, so that an interrupted run does not begin anew. */
  static async open(folder: string): Promise<Ledger> {
    await mkdir(join(folder, 'good'), { recursive: true })
    await mkdir(join(folder, 'bad'), { recursive: true })
    const ledger = new Ledger(folder)
    ledger.rows.push(...(((await parsed(join(folder, ROWS))) as LedgerRow[] | undefined) ?? []))
    const expected = (await parsed(join(folder, 'expected.json'))) as Expected | undefined
    Object.assign(ledger.good, expected?.good)
    Object.assign(ledger.bad, expected?.bad)
    return ledger
  }

  has(name: string): boolean {
    return this.rows.some((row) => row.name === name)
  }

  async save(): Promise<void> {
    const { good, bad } = this
    await writeFile(join(this.folder, ROWS), `${JSON.stringify(this.rows, undefined, 2)}\n`)
    await writeFile(
      join(this.folder, 'expected.json'),
      `${JSON.stringify({ good, bad }, undefined, 2)}\n`,
    )
  }
}

const ROWS = 'captures.json'

async function parsed(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
