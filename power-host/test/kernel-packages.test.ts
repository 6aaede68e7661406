import { describe, expect, test } from 'vitest'
import { dependenciesOf, kernelPackages } from '../lib/kernel-packages.ts'

const unpacker = 'initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool'

/** What the suites' own records say. */
const records: Record<string, string> = {
  'linux-image-powerpc64le':
    'Package: linux-image-powerpc64le\nVersion: 6.1.176-1\n' +
    'Depends: linux-image-6.1.0-50-powerpc64le (= 6.1.176-1)\nSize: 1472\n',
  'linux-image-6.1.0-50-powerpc64le': `Depends: kmod, linux-base (>= 4.3~), ${unpacker}\n`,
  'linux-image-powerpc64le-64k':
    'Depends: linux-base-powerpc64le-64k (= 7.2.13-1), ' +
    'linux-image-7.2.13+deb14-powerpc64le-64k (= 7.2.13-1)\n',
  'linux-image-7.2.13+deb14-powerpc64le-64k':
    `Depends: dracut | ${unpacker}, linux-base-7.2.13+deb14-powerpc64le-64k (= 7.2.13-1), ` +
    'linux-binary-7.2.13+deb14-powerpc64le-64k (= 7.2.13-1), ' +
    'linux-modules-7.2.13+deb14-powerpc64le-64k (= 7.2.13-1)\n',
  'linux-image-none': 'Depends: linux-base-none\n',
}

const dependencies = (name: string): Promise<string[]> =>
  Promise.resolve(dependenciesOf(records[name] ?? ''))

describe('kernelPackages', () => {
  test('one package with all in it', async () => {
    expect(await kernelPackages('linux-image-powerpc64le', dependencies)).toEqual([
      'linux-image-6.1.0-50-powerpc64le',
    ])
  })

  test('a package for the image and one for the modules', async () => {
    expect(await kernelPackages('linux-image-powerpc64le-64k', dependencies)).toEqual([
      'linux-binary-7.2.13+deb14-powerpc64le-64k',
      'linux-modules-7.2.13+deb14-powerpc64le-64k',
    ])
  })

  test('a meta package without a kernel is an error', async () => {
    await expect(kernelPackages('linux-image-none', dependencies)).rejects.toThrow(
      'linux-image-none names no kernel',
    )
  })
})

describe('dependenciesOf', () => {
  test.each([
    ['', []],
    ['Package: a\nPre-Depends: b\nSuggests: c\n', []],
    ['Depends: a\n', ['a']],
    ['Depends: a (>= 1:2~), b:any, c [ppc64el], d | e, f|g\n', ['a', 'b', 'c', 'd', 'f']],
  ])('of %j', (record, names) => {
    expect(dependenciesOf(record)).toEqual(names)
  })
})
