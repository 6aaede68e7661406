import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import { exitStatus, Failure } from './failure.ts'

/** The programs used on this machine, and the Debian package that each is in. */
const packageOf = {
  'powerpc64le-linux-gnu-g++': 'g++-powerpc64le-linux-gnu',
  'x86_64-linux-gnu-g++': 'g++-x86-64-linux-gnu',
  readelf: 'binutils',
  'powerpc64le-linux-gnu-gcov': 'gcc-powerpc64le-linux-gnu',
  gcovr: 'gcovr',
  make: 'make',
  python3: 'python3',
  'dpkg-deb': 'dpkg',
  flock: 'util-linux',
  setpriv: 'util-linux',
} as const

export type Program = keyof typeof packageOf

/** The programs that build and inspect the package's binaries. */
export const prebuildPrograms: readonly Program[] = [
  'powerpc64le-linux-gnu-g++',
  'x86_64-linux-gnu-g++',
  'make',
  'python3',
  'readelf',
]

/** The programs that read the counts of coverage. */
export const coveragePrograms: readonly Program[] = ['powerpc64le-linux-gnu-gcov', 'gcovr']

/** The programs for the emulated host. */
export const hostPrograms: readonly Program[] = ['dpkg-deb', 'flock', 'setpriv']

/** The programs for the emulated host and for cross-building an addon. */
export const allPrograms: readonly Program[] = [
  'powerpc64le-linux-gnu-g++',
  'make',
  'python3',
  ...hostPrograms,
]

/** Fails if programs are missing. The message names all of them, and the command that installs them. */
export function requirePrograms(programs: readonly Program[]): void {
  if (process.platform !== 'linux') {
    throw new Failure(`this needs Linux to run on; here is ${process.platform}`, exitStatus.usage)
  }
  // Only an emulated host needs apt, a cross-build does not.
  if (programs.includes('dpkg-deb') && !isInstalled('apt-get')) {
    throw new Failure(
      'the emulated POWER host is made from Debian packages and needs apt-get, which is not here;' +
        ' Debian or a container with Debian will do',
      exitStatus.usage,
    )
  }
  const missing = programs.filter((program) => !isInstalled(program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((program) => packageOf[program]))]
  throw new Failure(
    `missing on this machine: ${missing.join(', ')}. Install with\n\n` +
      `    apt-get install --no-install-recommends ${packages.join(' ')}\n`,
    exitStatus.usage,
  )
}

/** Whether a program is in PATH. */
export function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((directory) => {
    try {
      accessSync(path.join(directory, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
