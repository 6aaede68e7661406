import { cp, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { isInstalled } from './requirements.ts'
import { run } from './run.ts'
import { fetched, type Fetched, type Origin } from './sources.ts'
import { stage } from './progress.ts'

/** Programs that are fetched if this machine has none of its own, with their Debian packages. */
const packages = { cpio: 'cpio', lz4: 'lz4', xz: 'xz-utils' } as const

/** The command that starts a program. The program's own arguments follow `args`. */
export interface Tool {
  command: string
  args: readonly string[]
}

/** The suites to try. Any version of these programs works, so the suite that is most often complete comes first. */
const suites = ['trixie', 'bookworm', 'forky', 'sid']

/** A program of this machine; if it has none, one from Debian in the cache, without installing it. */
export async function tool(program: keyof typeof packages): Promise<Tool> {
  if (isInstalled(program)) return { command: program, args: [] }
  const recipe = { program, package: packages[program], suites }
  const { directory } = await fetchedProgram(recipe, {})
  return startOf(directory, program)
}

export interface ProgramRecipe {
  program: string
  /** The package with the program. */
  package: string
  suites: readonly string[]
  /** The architecture. The default is that of this machine. */
  architecture?: string
  /** Other directories that the program needs, besides the libraries that it is linked with. */
  data?: RegExp
}

/** A cache entry with a program, the libraries that it is linked with, and its data. */
export async function fetchedProgram(recipe: ProgramRecipe, origin: Origin): Promise<Fetched> {
  const { program, package: name, suites, data } = recipe
  const { architecture = await ownArchitecture() } = recipe
  const ingredient = {
    ...{ name: `${program}-${architecture}`, what: program, package: name },
    ...{ architecture, suites, complete: true },
    recipe: { version: 1, program, data: data?.source },
  }
  return fetched(ingredient, origin, (archive, directory) =>
    withTemporary(async (root) => {
      await archive.unpackWithDependencies([name], root)
      await stage(`keeping what ${program} needs`, async () => {
        const files = await readdir(root, { recursive: true })
        const wanted = files.filter(
          (file) => isProgram(file, program) || isSharedObject(file) || data?.test(file),
        )
        for (const file of wanted) {
          const kept = path.join(directory, file)
          await mkdir(path.dirname(kept), { recursive: true })
          await cp(path.join(root, file), kept, { recursive: true, verbatimSymlinks: true })
        }
      })
    }),
  )
}

/**
 * The command that starts the program with the dynamic loader that came with it, since this machine's may be
 * too old for its libraries. `place` is the later path of the directory, if it will be moved.
 */
export async function startOf(
  directory: string,
  program: string,
  place = directory,
): Promise<Tool> {
  const files = await readdir(directory, { recursive: true })
  const objects = files.filter(isSharedObject)
  const loader = objects.find((file) => /^ld(-linux.*|64)?\.so\.\d+$/.test(path.basename(file)))
  const binary = files.find((file) => isProgram(file, program))
  if (loader === undefined || binary === undefined) {
    throw new Failure(`${directory} is not complete: remove it, and it is fetched again`)
  }
  const folders = [...new Set(objects.map((file) => path.join(place, path.dirname(file))))]
  return {
    command: path.join(place, loader),
    args: ['--library-path', folders.join(':'), path.join(place, binary)],
  }
}

/** Whether a file is a library for the dynamic loader, and not a module that the program loads itself. */
function isSharedObject(file: string): boolean {
  const folder = /^(usr\/)?lib\/[^/]+-linux-gnu[^/]*(\/pulseaudio)?$/
  return folder.test(path.dirname(file)) && /\.so(\.|$)/.test(path.basename(file))
}

function isProgram(file: string, program: string): boolean {
  return file === `usr/bin/${program}` || file === `bin/${program}`
}

let own: Promise<string> | undefined

/** Debian's name of this machine's architecture, such as "amd64". */
export function ownArchitecture(): Promise<string> {
  own ??= run('dpkg', ['--print-architecture']).then(({ stdout }) => stdout.trim())
  return own
}
