import ts from 'typescript'

/** The modules with the functions that save and load a guest, as esbuild's comments name them. */
const onTheWay =
  /^lib\/(timebase\/(?!inherit|move-one-reg|one-reg-state|rehearse|warm-up)|(checks|json|state-text)\.ts|kernel\/wall-clock\.ts|kvm\/(decrementer|held|one-reg|sample)\.ts)/

/**
 * Puts the functions by which a guest is saved and loaded in parentheses. V8 compiles a function when it is
 * first called, and a process often makes its first save or load while a guest stands still; a function in
 * parentheses it compiles when the module is loaded, since it takes it for one that is called on the spot.
 *
 * As declarations are, the functions are there before any other code of the module runs.
 *
 * @param {string} text a module that esbuild made of those of lib/
 */
export function compileEarly(text) {
  const { statements } = ts.createSourceFile('module.js', text, ts.ScriptTarget.Latest)
  const functions = []
  const rest = []
  const [firstLine = ''] = /^#!.*\n/.exec(text) ?? []
  let module = ''
  let copied = firstLine.length
  for (const statement of statements) {
    const comments = ts.getLeadingCommentRanges(text, statement.pos) ?? []
    for (const { pos, end } of comments) {
      module = /^\/\/ (lib\/.*\.ts)$/.exec(text.slice(pos, end))?.[1] ?? module
    }
    if (!ts.isFunctionDeclaration(statement) || !onTheWay.test(module)) continue
    const start = comments.at(-1)?.end ?? statement.pos
    functions.push(`var ${statement.name.text} = (${text.slice(start, statement.end).trim()});\n`)
    rest.push(text.slice(copied, start))
    copied = statement.end
  }
  if (functions.length === 0) return text
  const why = '// In parentheses, so that V8 compiles them when this module is loaded.\n'
  return [firstLine, why, ...functions, '\n', ...rest, text.slice(copied)].join('')
}
