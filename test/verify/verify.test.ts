import { describe, expect, it } from 'vitest'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { Host } from '../../lib/kvm/host.ts'
import { verify } from '../../lib/verify/index.ts'
import { Problems } from '../../lib/verify/trial.ts'

const host = new Host(new SoftwareKernel())

describe('verify', () => {
  it('refuses the model, which runs no guests', async () => {
    await expect(verify(host)).rejects.toMatchObject({
      code: 'ERR_KVM_UNAVAILABLE',
      reason: 'not-kvm',
      message: expect.stringContaining('npm run power -- verify') as string,
    })
  })

  it.each([
    [{ seconds: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ seconds: 3601 }, 'ERR_OUT_OF_RANGE'],
    [{ vcpus: 0 }, 'ERR_OUT_OF_RANGE'],
    [{ vcpus: 1025 }, 'ERR_OUT_OF_RANGE'],
    [{ vcpus: 1.5 }, 'ERR_OUT_OF_RANGE'],
    [{ seconds: '1' }, 'ERR_INVALID_ARG_TYPE'],
    [{ signal: {} }, 'ERR_INVALID_ARG_TYPE'],
    [{ onProgress: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [{ second: 1 }, 'ERR_INVALID_ARG_VALUE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
  ])('refuses the options %o', async (options, code) => {
    await expect(verify(host, options as never)).rejects.toMatchObject({ code })
  })

  it('refuses what is not a host', async () => {
    await expect(verify({} as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })
})

describe('the problems of a promise', () => {
  it('are listed up to the third, and then counted', () => {
    const problems = new Problems()
    problems.expect(true, () => 'none')
    for (const problem of ['one', 'two', 'three', 'four', 'five']) {
      problems.expect(false, () => problem)
    }
    expect(problems.all).toEqual(['one', 'two', 'three', '2 more'])
  })
})
