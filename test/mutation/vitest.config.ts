import path from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer } from 'vitest/node'
import type { TestSpecification } from 'vitest/node'
import { testsOf } from './files.ts'

/** Which file has the mutants: main.ts says so. */
const mutated = process.env['KVM_PPC_MUTATED'] ?? ''

/** One failure ends a run, so the tests of that very file come first. */
class OwnTestsFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const name = path.basename(mutated, '.ts')
    const isOwn = ({ moduleId }: TestSpecification): boolean =>
      path.basename(moduleId).split('.')[0] === name
    return Promise.resolve([...files.filter(isOwn), ...files.filter((file) => !isOwn(file))])
  }
}

export default defineConfig({
  test: {
    include: [...testsOf(mutated)],
    // One worker for all files of a run, and a new one for each mutant.
    isolate: false,
    sequence: { sequencer: OwnTestsFirst },
    env: { KVM_PPC_ADDON: 'built', KVM_PPC_MUTATED: mutated },
    execArgv: ['--disable-warning=KVM_PPC_UNCLOSED'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
})
