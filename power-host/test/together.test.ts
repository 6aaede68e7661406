import { describe, expect, it, vi } from 'vitest'
import { runTogether, type HostRun } from '../lib/together.ts'

/** A host whose command waits for the other one, and which fails if it is ended. */
const waiting: HostRun = (giveUp) =>
  new Promise((_, reject) => {
    giveUp.addEventListener('abort', () => {
      reject(new Error('it was ended'))
    })
  })

const ends =
  (status: number): HostRun =>
  () =>
    Promise.resolve({ status, result: undefined })

const fails: HostRun = () => Promise.reject(new Error('QEMU ended'))

function notes(): string[] {
  const texts: string[] = []
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    texts.push(String(text))
    return true
  })
  return texts
}

describe('two hosts that depend on each other', () => {
  it('give the results of both', async () => {
    const [first, second] = await runTogether(ends(0), ends(0))
    expect([first?.status, second?.status]).toEqual([0, 0])
  })

  it('end when the command on one ends with another status than 0', async () => {
    const said = notes()
    const [first, second] = await runTogether(waiting, ends(3))
    expect([first, second?.status]).toEqual([undefined, 3])
    expect(said.join('')).toContain('the command on the second host ended with status 3')
    const [one, other] = await runTogether(ends(1), waiting)
    expect([one?.status, other]).toEqual([1, undefined])
  })

  it('end when one fails, with its error', async () => {
    const said = notes()
    await expect(runTogether(waiting, fails)).rejects.toThrow('QEMU ended')
    expect(said.join('')).toContain('the second host failed; ending the other host')
    await expect(runTogether(fails, waiting)).rejects.toThrow('QEMU ended')
  })
})
