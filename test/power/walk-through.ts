import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { qemu, quote, suiteName, tool } from 'power-host'
import { Command } from 'commander'
import { readDocument } from '../support/markdown.ts'

/** Blocks that begin so, and who runs what is in them. */
const elsewhere = {
  'apt-get install': '.ci/run',
  'npm ci --os': 'npm run power -- test, on this project',
}

export const recipe = new Command('recipe')
  .summary('follow docs/power-host.md from top to bottom, in an empty folder')
  .description('Follows docs/power-host.md from top to bottom, in an empty folder.')
  .argument('[suites...]', 'suites to try, instead of those that the document tries')
  .action(followRecipe)

async function followRecipe(names: string[]): Promise<void> {
  const suites = names.map(suiteName).join(' ')
  const { blocks } = readDocument('docs/power-host.md')
  const isElsewhere = (code: string): boolean =>
    Object.keys(elsewhere).some((beginning) => code.startsWith(beginning))
  const commands = blocks.filter(({ language, code }) => language === 'sh' && !isElsewhere(code))
  const script = commands.map(({ code }) => code).join('\n')
  const outputs = blocks.filter(({ language }) => language === 'text')

  const loop = /for suite in [^;]+;/
  const input = suites === '' ? script : script.replace(loop, `for suite in ${suites};`)
  const folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
  try {
    const { status, stdout } = spawnSync('timeout', ['900', 'bash', '-euxo', 'pipefail'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, PATH: `${await programs(folder)}:${process.env['PATH'] ?? ''}` },
      input,
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

/** The folder with what the document has installed as root, from the cache where this machine lacks it. */
async function programs(parent: string): Promise<string> {
  const bin = path.join(parent, 'bin')
  mkdirSync(bin)
  const started = {
    'qemu-system-ppc64': await qemu(),
    cpio: await tool('cpio'),
    xz: await tool('xz'),
  }
  for (const [name, { command, args }] of Object.entries(started)) {
    if (command === name) continue
    const line = [command, ...args].map(quote).join(' ')
    writeFileSync(path.join(bin, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 })
  }
  return bin
}
