import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { install } from './newcomer.ts'
import { pack } from './tarball.ts'

declare module 'vitest' {
  interface ProvidedContext {
    tarball: string
    /** The folder of a project that has nothing but the package. */
    project: string
  }
}

/** Once for all files: packing builds the binaries. */
export default async function setup(tests: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(path.join(tmpdir(), 'kvm-ppc-onereg-package-'))
  const tarball = await pack(directory)
  const project = path.join(directory, 'project')
  await install(project, tarball, ['npm'])
  tests.provide('tarball', tarball)
  tests.provide('project', project)
  return () => rm(directory, { recursive: true })
}
