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

/** What the package's binaries are built with, and looked at. */
export const prebuildPrograms: readonly Program[] = [
  'powerpc64le-linux-gnu-g++',
  'x86_64-linux-gnu-g++',
  'make',
  'python3',
  'readelf',
]

/** What counts are read with. */
export const coveragePrograms: readonly Program[] = ['powerpc64le-linux-gnu-gcov', 'gcovr']

/** What the emulated host needs. */
export const hostPrograms: readonly Program[] = ['dpkg-deb', 'flock', 'setpriv']

/** The same, and what cross-builds an addon for it. */
export const allPrograms: readonly Program[] = [
  'powerpc64le-linux-gnu-g++',
  'make',
  'python3',
  ...hostPrograms,
]

/** Names everything that is missing at once, with the line that installs it. */
export function requirePrograms(programs: readonly Program[]): void {
  if (process.platform !== 'linux') {
    throw new Failure(`this needs Linux to run on; here is ${process.platform}`, exitStatus.usage)
  }
  // Only a host is made from packages, and a cross-build is not.
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

/** Whether a program is found where the system looks for it. */
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
