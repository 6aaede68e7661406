import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/**
 * The rooms of lib/, and what each may import of the others; anything may import the modules that lie
 * in lib/ itself.
 *
 *     cli → vmstate, verify → testing → timebase → kvm → kernel → the modules in lib/ itself
 *
 * vmstate reaches timebase by vmstate/timebase-state.ts alone. lib/index.ts names all, and is imported
 * by none.
 */
const rooms = {
  kernel: [],
  kvm: ['kernel'],
  timebase: ['kernel', 'kvm'],
  testing: ['kernel', 'kvm', 'timebase'],
  vmstate: [],
  verify: ['kernel', 'kvm', 'timebase', 'testing'],
  cli: ['kernel', 'kvm', 'timebase', 'testing', 'vmstate', 'verify'],
}

function noImportsFrom(names, files, ignores = []) {
  const message = 'An arrow between rooms of lib/ that points up: see rooms in eslint.config.js.'
  const patterns = [{ regex: `^(\\.\\.?/)+(${names.join('|')})/`, message }]
  return { files, ignores, rules: { 'no-restricted-imports': ['error', { patterns }] } }
}

/** One block a room, and one for the modules in lib/ itself. */
const directions = [
  noImportsFrom(Object.keys(rooms), ['lib/*.ts'], ['lib/index.ts']),
  ...Object.entries(rooms).map(([room, below]) =>
    noImportsFrom(
      Object.keys(rooms).filter((other) => other !== room && !below.includes(other)),
      [`lib/${room}/**/*.ts`],
      ['lib/vmstate/timebase-state.ts'],
    ),
  ),
  noImportsFrom(['cli', 'verify', 'testing', 'kvm', 'kernel'], ['lib/vmstate/timebase-state.ts']),
]

/** power-host is a package of its own: others use what it exports, and it uses nothing of theirs. */
const packageRule = (files, regex, message) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ regex, message }] }] },
})
const powerHost = [
  packageRule(
    ['test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.ts'],
    '^(\\.\\.?/)+power-host/',
    "Import it from 'power-host'.",
  ),
  packageRule(
    ['power-host/**/*.ts'],
    '^(\\.\\./){2,}(test|bench|scripts|lib)/',
    'power-host uses nothing of this project.',
  ),
]

export default defineConfig(
  globalIgnores(['build/', 'coverage/', 'dist/', 'power-host/dist/']),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      // Numbers and bigints are what this library prints.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: false, allowAny: false, allowNullish: false },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  ...directions,
  ...powerHost,
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: {
      globals: {
        Buffer: 'readonly',
        console: 'readonly',
        performance: 'readonly',
        process: 'readonly',
      },
    },
  },
)
