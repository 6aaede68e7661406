// Uses the package as it is published, in an empty folder, on real hosts: npx tsx power-host/test/installed.ts
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { run } from '../lib/run.ts'

const root = path.resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(path.join(tmpdir(), 'power-host-'))
const readme = readFileSync(path.join(root, 'power-host/README.md'), 'utf8')
const program = path.join(folder, 'node_modules/.bin/power-host')

function check(holds: boolean, what: string): void {
  console.log(`${holds ? 'ok' : 'NO'}  ${what}`)
  if (!holds) process.exitCode = 1
}

/** Runs the command, and calls `started` with each piece of its standard error. */
async function powerHost(
  args: readonly string[],
  started?: (text: string, interrupt: () => void) => void,
): Promise<{ status: number | null; stdout: string; pid: number | undefined }> {
  const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    process.stderr.write(text)
    started?.(text, () => child.kill('SIGINT'))
  })
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, stdout, pid: child.pid }
}

/** Each host works in a folder that is named after the process that made it. */
function processesOf(pid: number | undefined): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`))
    .map((name) => readFileSync(`/proc/${name}/cmdline`, 'utf8'))
    .filter((line) => line.includes(`/tmp/${String(pid)}-`))
}

async function install(): Promise<void> {
  await run('npm', ['pack', '--workspace', 'power-host', '--pack-destination', folder], {
    cwd: root,
  })
  const [tarball = ''] = readdirSync(folder)
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n')
  await run('npm', ['install', '--no-audit', '--no-fund', `./${tarball}`], { cwd: folder })
  writeFileSync(path.join(folder, 'kvm.c'), /```c\n(.*?)```/s.exec(readme)?.[1] ?? '')
  await run('powerpc64le-linux-gnu-gcc', ['-static', '-o', 'kvm', 'kvm.c'], { cwd: folder })
}

/** The README's example with Vitest, and the same with a test that fails. */
async function vitest(): Promise<void> {
  const example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? ''
  writeFileSync(path.join(folder, 'kvm.test.mjs'), example)
  const { devDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>
  }
  const packages = ['--save-dev', `vitest@${devDependencies['vitest'] ?? ''}`]
  await run('npm', ['install', '--no-audit', '--no-fund', ...packages], { cwd: folder })
  const suite = ['npx', 'vitest', 'run', '--testTimeout', '60000']
  const green = await powerHost(['--out', 'green', '--', ...suite])
  check(green.status === 0, 'a suite that passes ends with 0')
  check(existsSync(path.join(folder, 'green/seen')), "its test's file of $OUT is here")
  const failing = "import { expect, test } from 'vitest'\ntest('fails', () => expect(1).toBe(2))\n"
  writeFileSync(path.join(folder, 'fails.test.mjs'), failing)
  const red = await powerHost(['--', ...suite])
  check(red.status === 1, 'a suite with a test that fails ends with 1')
}

try {
  await install()
  const command = './kvm && node -p process.arch && echo yes >"$OUT/seen"; exit 3'
  const onBareMetal = ['--machine', 'powernv9', '--out', 'results']
  const outcome = await powerHost([...onBareMetal, '--', 'sh', '-c', command])
  check(
    outcome.stdout === "KVM's API has version 12\nppc64\n",
    'a C program of the folder uses KVM',
  )
  check(outcome.status === 3, "the exit status is the command's")
  const seen = path.join(folder, 'results/seen')
  check(existsSync(seen) && readFileSync(seen, 'utf8') === 'yes\n', 'a file of $OUT is here')

  let running = 0
  const ended = await powerHost(['--', 'sleep', '1000'], (text, interrupt) => {
    if (!text.includes('booting')) return
    running++
    setTimeout(interrupt, 5_000)
  })
  check(running > 0 && ended.status === 130, 'Ctrl-C ends it while the host boots')
  check(processesOf(ended.pid).length === 0, 'and no QEMU is left')

  await vitest()
} finally {
  rmSync(folder, { recursive: true })
}
