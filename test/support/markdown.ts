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
}

/** What of a document can be wrong by the doing of others. */
export interface Document {
  /** From the project's folder on. */
  readonly name: string
  readonly blocks: readonly CodeBlock[]
  /** Code between backquotes. */
  readonly words: readonly string[]
  /** Of images too. */
  readonly links: readonly string[]
  /** As GitHub makes anchors of them. */
  readonly headings: readonly string[]
}

const parser = new MarkdownIt()

/** Everything that is written for people, that of the examples too. */
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
  const blocks = tokens
    .filter(({ type }) => type === 'fence' || type === 'code_block')
    .map(({ info, content, map }) => ({
      language: info.trim(),
      code: content,
      line: (map?.[0] ?? 0) + 1,
    }))
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
