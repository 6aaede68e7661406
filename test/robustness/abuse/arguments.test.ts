import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, vi } from 'vitest'
import { loadAddon } from '../../../lib/kernel/addon.ts'
import { slowdown } from '../../support/emulated.ts'
import { addonLacks, describeUnless } from '../../support/lacking.ts'
import { callFor, makeAll } from './call.ts'
import { Growable, hugeArrays } from './hostile.ts'
import { harmless, hostile, names, table } from './pools.ts'

vi.setConfig({ testTimeout: 20_000 * slowdown })

describeUnless(addonLacks, 'the addon under abuse', () => {
  const addon = loadAddon()

  it.each(names)('refuses whatever is wrong for %s, and nothing else', async (name) => {
    const rows = table(hostile).filter((row) => row.name === name)
    const refused = await makeAll(addon, rows)
    expect(refused).toBeGreaterThanOrEqual(rows.length * 0.75)
    expect(refused).toBeLessThan(rows.length)
  })

  it.each(names)('refuses what is huge for %s, or takes it', async (name) => {
    const rows = table(hugeArrays).filter((row) => row.name === name)
    expect(await makeAll(addon, rows)).toBeGreaterThan(rows.length / 2)
  })

  it('refuses the same in a worker', async () => {
    const program = new URL('../../support/addon-abuser.ts', import.meta.url).href
    // In a worker of Node 20, `--import tsx` does nothing.
    const code = `import('tsx/esm/api').then(({ tsImport }) => tsImport('${program}', '${program}'))`
    const worker = new Worker(code, { eval: true })
    const [refused] = (await once(worker, 'message')) as [number]
    await worker.terminate()
    expect(refused).toBe(await makeAll(addon, table(hostile)))
  })

  it.each(names)('refuses %s as a constructor, whose result would be lost', (name) => {
    const constructor = Reflect.get(addon, name) as unknown as new (...args: unknown[]) => unknown
    expect(() => new constructor(...harmless(name))).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_ARG_TYPE',
        message: 'this function is not a constructor',
      }),
    )
  })

  it('stays in the memory that was bound, though there is more by now', () => {
    const buffer = new Growable(72, { maxByteLength: 4096 })
    const bytes = new Uint8Array(buffer)
    const handle = addon.bindBatch(bytes)
    buffer.grow(4096)
    bytes.fill(0xa5)
    callFor(addon, handle)
    expect(bytes.subarray(72).every((byte) => byte === 0xa5)).toBe(true)
    expect(bytes.subarray(0, 72).every((byte) => byte === 0xa5)).toBe(false)
  })

  describe('where a prototype has been tampered with', () => {
    const memory = () => new Uint8Array(new SharedArrayBuffer(72))

    /** What a call comes to with a setter on the prototype of what it makes. */
    function tampered(prototype: object, name: string, set: () => void, call: () => void): unknown {
      Object.defineProperty(prototype, name, { set, configurable: true })
      try {
        call()
      } catch (error) {
        return error
      } finally {
        Reflect.deleteProperty(prototype, name)
      }
      return undefined
    }

    it.each<[string, () => unknown]>([
      ['index', () => addon.bindBatch(memory())],
      ['timebase', () => addon.bindCalls(new BigUint64Array(new SharedArrayBuffer(32)))],
    ])('makes an object with its own %s', (name, call) => {
      const set = vi.fn()
      let made: unknown
      expect(tampered(Object.prototype, name, set, () => (made = call()))).toBe(undefined)
      expect(Object.keys(made as object)).toContain(name)
      expect(set).not.toHaveBeenCalled()
    })

    it('throws an error all the same where an error cannot have a code', () => {
      const set = () => {
        throw new Error('no code')
      }
      const call = () => addon.close('3' as never)
      expect(tampered(Error.prototype, 'code', set, call)).toBeInstanceOf(Error)
    })
  })
})
