// Leaves in dist/ only the declarations that users can reach: tsc writes those of every module of lib/, and
// all that a module exports to others of the library. Removes declaration files that no entry leads to,
// and in the rest the exported functions, constants and classes that no other declaration names.
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

const dist = path.resolve(import.meta.dirname, '../dist')
const entries = ['index', 'vmstate/index', 'testing/index', 'verify/index'].map(
  (name) => `${name}.d.ts`,
)

/** Reads the files to which the entries lead, by their paths below dist/. */
function readReachable() {
  const reachable = new Map()
  const left = [...entries]
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (reachable.has(name)) continue
    const text = readFileSync(path.join(dist, name), 'utf8')
    reachable.set(name, ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true))
    for (const { fileName } of ts.preProcessFile(text).importedFiles) {
      if (!fileName.startsWith('.')) continue
      left.push(path.join(path.dirname(name), fileName).replace(/\.ts$/, '.d.ts'))
    }
  }
  return reachable
}

/** Counts every name in a tree, without those in comments. */
function countNames(node, counts) {
  if (ts.isIdentifier(node)) counts.set(node.text, (counts.get(node.text) ?? 0) + 1)
  ts.forEachChild(node, (child) => countNames(child, counts))
}

/** The name of an exported function, constant or class. Overloads have one name several times, and stay. */
function exportedName(statement) {
  if (ts.isVariableStatement(statement)) {
    const [declaration, ...more] = statement.declarationList.declarations
    return more.length === 0 ? declaration.name.text : undefined
  }
  const isValue = ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)
  return isValue ? statement.name?.text : undefined
}

function isUnused(statement, counts) {
  const name = exportedName(statement)
  return name !== undefined && counts.get(name) === 1
}

/**
 * Removes exported functions, constants and classes that no other declaration refers to: their name occurs only
 * in their own. Returns true if it removed one, since others may have been referred to only there.
 */
function removeUnused(reachable) {
  const counts = new Map()
  for (const file of reachable.values()) countNames(file, counts)
  let removed = false
  for (const [name, file] of reachable) {
    const kept = file.statements.filter((statement) => !isUnused(statement, counts))
    if (kept.length === file.statements.length) continue
    removed = true
    const text = kept.map((statement) => statement.getFullText()).join('')
    writeFileSync(path.join(dist, name), text === '' ? 'export {};\n' : `${text.trimStart()}\n`)
  }
  return removed
}

let reachable = readReachable()
while (removeUnused(reachable)) reachable = readReachable()
for (const name of readdirSync(dist, { recursive: true })) {
  if (name.endsWith('.d.ts') && !reachable.has(name)) rmSync(path.join(dist, name))
}
