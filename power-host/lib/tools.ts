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

/** How a program is started: its own arguments come after these. */
export interface Tool {
  command: string
  args: readonly string[]
}

/** Any version of these will do, so the suites come in the order in which they are likely to be whole. */
const suites = ['trixie', 'bookworm', 'forky', 'sid']

/** A program of this machine, or one from Debian in the cache, where it needs nothing installed. */
export async function tool(program: keyof typeof packages): Promise<Tool> {
  if (isInstalled(program)) return { command: program, args: [] }
  const recipe = { program, package: packages[program], suites }
  const { directory } = await fetchedProgram(recipe, {})
  return startOf(directory, program)
}

export interface ProgramRecipe {
  program: string
  /** The package that it is in. */
  package: string
  suites: readonly string[]
  /** Of this machine, unless another is named. */
  architecture?: string
  /** Other directories that it needs, besides the shared objects that it is linked with. */
  data?: RegExp
}

/** A cache entry with a program, the libraries that it is linked with, and its data; and nothing else. */
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
 * Starts it by the dynamic loader that came with it, since that of this machine may be too old for its
 * libraries. `place` is where the directory will lie, if it is to be moved.
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

/** Whether the dynamic loader looks there, not the program itself as for its modules. */
function isSharedObject(file: string): boolean {
  const folder = /^(usr\/)?lib\/[^/]+-linux-gnu[^/]*(\/pulseaudio)?$/
  return folder.test(path.dirname(file)) && /\.so(\.|$)/.test(path.basename(file))
}

function isProgram(file: string, program: string): boolean {
  return file === `usr/bin/${program}` || file === `bin/${program}`
}

let own: Promise<string> | undefined

/** As Debian calls the architecture of this machine, such as "amd64". */
export function ownArchitecture(): Promise<string> {
  own ??= run('dpkg', ['--print-architecture']).then(({ stdout }) => stdout.trim())
  return own
}
