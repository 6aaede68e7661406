import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { aptFolder } from 'power-host'
import { Command } from 'commander'
import { readDocument } from '../support/markdown.ts'

/** Blocks that begin so, and who runs what is in them. */
const elsewhere = {
  'apt-get install': '.ci/run',
  'npm ci --os': 'npm run power -- test, on this project',
}

/** As the emulated host of this project does it while a mirror is being brought up to date. */
const update = 'apt-get -q update'
const updateOrEarlierLists = `${update} || cp "$EARLIER_LISTS"/*_* apt/lists`

export const recipe = new Command('recipe')
  .summary('follow docs/power-host.md from top to bottom, in an empty folder')
  .description('Follows docs/power-host.md from top to bottom, in an empty folder.')
  .action(followRecipe)

async function followRecipe(): Promise<void> {
  const { blocks } = readDocument('docs/power-host.md')
  const isElsewhere = (code: string): boolean =>
    Object.keys(elsewhere).some((beginning) => code.startsWith(beginning))
  const commands = blocks.filter(({ language, code }) => language === 'sh' && !isElsewhere(code))
  const script = commands.map(({ code }) => code).join('\n')
  const outputs = blocks.filter(({ language }) => language === 'text')

  const place = { suite: 'trixie', architecture: 'ppc64el', complete: true }
  const folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
  try {
    const { status, stdout } = spawnSync('timeout', ['900', 'bash', '-euxo', 'pipefail'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, EARLIER_LISTS: path.join(await aptFolder(place), 'lists') },
      input: script.replace(update, updateOrEarlierLists),
      stdio: ['pipe', 'pipe', 'inherit'],
      maxBuffer: 1 << 26,
    })
    process.stdout.write(stdout)
    // It ends with what the last host printed.
    const wanted = [...outputs.map(({ code }) => code.trim()), 'ppc64le GNU/Linux', '\nppc64\n']
    const missing = wanted.filter((text) => !stdout.includes(text))
    for (const text of missing) console.error(`It does not print: ${text}`)
    process.exitCode = status === 0 && missing.length === 0 ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true })
  }
}
