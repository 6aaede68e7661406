import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readDocument, root } from '../support/markdown.ts'

const WORDS = 600
/** The lines of a page that a terminal or a browser shows before one scrolls. */
const SCREEN = 30

describe('README.md', () => {
  const text = readFileSync(path.join(root, 'README.md'), 'utf8')
  const [first] = readDocument('README.md').blocks.filter(({ language }) => language === 'js')

  it(`has ${WORDS} words at most, by the count of wc -w`, () => {
    expect(text.trim().split(/\s+/).length).toBeLessThanOrEqual(WORDS)
  })

  it('shows a program and its output on the first screen', () => {
    // document-code.test.ts runs the program and compares.
    expect(first?.output).toMatch(/^source: .* = \d+\ndestination: .* = \d+\n$/)
    const lines = first?.code.split('\n').length ?? Infinity
    expect((first?.line ?? Infinity) + lines).toBeLessThanOrEqual(SCREEN)
  })
})
