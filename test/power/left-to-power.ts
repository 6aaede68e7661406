import { readdirSync } from 'node:fs'

/** Says at the end of a run on another machine what was left to a POWER host. */
export function teardown(): void {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
  const left = files.filter((file) => file.endsWith('.power.test.ts'))
  if (left.length === 0) return
  console.log(
    `Left out: ${left.length} test files (*.power.test.ts), which need a POWER host with KVM;` +
      ' npm run power -- test runs them on an emulated one.\n',
  )
}
