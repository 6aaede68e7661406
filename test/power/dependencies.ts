import { cp, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, pack, run, stage, withTemporary } from 'power-host'

/** Whether to have what the tests need besides what the library needs. */
export interface Wanted {
  forTests: boolean
}

/** The files from which npm knows what to install. */
const manifests = ['package.json', 'package-lock.json', 'power-host/package.json']

const target = ['--os=linux', '--cpu=ppc64', '--libc=glibc', '--ignore-scripts']

/** What does not run on the host: more than half of all, which would have to be unpacked at each boot. */
const tools = [
  '@arethetypeswrong/cli',
  '@eslint/js',
  '@stryker-mutator/core',
  '@stryker-mutator/vitest-runner',
  '@types/bindings',
  '@types/node',
  'dependency-cruiser',
  'eslint',
  'node-addon-api',
  'node-gyp',
  'prettier',
  'publint',
  'typedoc',
  'typescript',
  'typescript-eslint',
]

/** The archive with the project's dependencies as they are installed on a ppc64le machine. */
export async function dependenciesArchive(
  projectRoot: string,
  placeOnHost: string,
  { forTests }: Wanted,
): Promise<string> {
  const key = await keyOf({
    texts: [placeOnHost, String(forTests)],
    files: [...manifests.map((name) => path.join(projectRoot, name)), import.meta.filename],
  })
  const entry = await cached(`dependencies-${key}`, async (directory) => {
    const what = forTests ? 'the dependencies and vitest' : 'the dependencies'
    await stage(`installing ${what} for ppc64le`, () =>
      withTemporary(async (staged) => {
        const project = path.join(staged, placeOnHost)
        for (const name of manifests) {
          await mkdir(path.dirname(path.join(project, name)), { recursive: true })
          await cp(path.join(projectRoot, name), path.join(project, name))
        }
        const extent = forTests ? [] : ['--omit=dev']
        await run('npm', ['ci', ...extent, ...target], { cwd: project })
        if (forTests) {
          // By npm, since it also removes what only these needed.
          await run('npm', ['uninstall', '--no-save', ...target, ...tools], { cwd: project })
        }
        await pack(staged, path.join(directory, 'archive.cpio.lz4'))
      }),
    )
  })
  return path.join(entry, 'archive.cpio.lz4')
}
