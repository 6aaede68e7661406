import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { slug } from 'github-slugger'
import MarkdownIt from 'markdown-it'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A block of code. */
export interface CodeBlock {
  readonly language: string
  readonly code: string
  /** The line of the document on which it begins. */
  readonly line: number
  /** The `text` block that follows without words in between: the output of this program. */
  readonly output?: string | undefined
}

/** The parts of a document that can become wrong when something else is changed. */
export interface Document {
  /** Its path from the project's folder. */
  readonly name: string
  readonly blocks: readonly CodeBlock[]
  /** Code between backquotes. */
  readonly words: readonly string[]
  /** The targets of links and the sources of images. */
  readonly links: readonly string[]
  /** The anchors that GitHub makes of the headings. */
  readonly headings: readonly string[]
}

const parser = new MarkdownIt()

/** All pages of this project: those in its own folder, in docs/ and in examples/. */
export function documents(): Document[] {
  const folders = ['docs', 'examples'].filter((name) => existsSync(path.join(root, name)))
  const below = folders.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      path.join(folder, name),
    ),
  )
  return [...readdirSync(root), ...below]
    .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
    .sort()
    .map(readDocument)
}

export function readDocument(name: string): Document {
  const tokens = parser.parse(readFileSync(path.join(root, name), 'utf8'), {})
  const blocks = tokens.flatMap(({ type, info, content, map }, index) => {
    if (type !== 'fence' && type !== 'code_block') return []
    const next = tokens[index + 1]
    const output = next?.type === 'fence' && next.info === 'text' ? next.content : undefined
    return { language: info.trim(), code: content, line: (map?.[0] ?? 0) + 1, output }
  })
  const inline = tokens.flatMap(({ children }) => children ?? [])
  const words = inline.filter(({ type }) => type === 'code_inline').map(({ content }) => content)
  const links = inline.flatMap(
    (token) => token.attrGet(token.type === 'image' ? 'src' : 'href') ?? [],
  )
  const headings = tokens
    .filter((_, index) => tokens[index - 1]?.type === 'heading_open')
    .map(({ children }) => slug((children ?? []).map(({ content }) => content).join('')))
  return { name, blocks, words, links, headings }
}
