import { expect, test } from 'vitest'
import { HostConsole } from '../lib/host-console.ts'

const token = '0123456789abcdef'
const mark = (line: string): string => `\x1e${token} ${line}\n`

function run(text: string) {
  const output = { stdout: '', stderr: '', begun: 0 }
  const host = new HostConsole(token, {
    stdout: { write: (bytes) => (output.stdout += bytes.toString()) },
    stderr: { write: (bytes) => (output.stderr += bytes.toString()) },
    onBegin: () => output.begun++,
  })
  host.read(Buffer.from(text))
  host.endOfConsole()
  return { host, output }
}

test("only the command's output is passed on, each stream to its own", () => {
  const { host, output } = run(
    `kernel says\n${mark('stage loading')}more\n${mark('begin')}out${mark('stderr oops')}put\n` +
      `${mark('exit 3')}reboot: Power down\n`,
  )
  expect(output).toEqual({ stdout: 'output\n', stderr: 'oops\n', begun: 1 })
  expect(host.exitStatus).toBe(3)
  expect(host.console).toBe('kernel says\nmore\nout' + 'oops\n' + 'put\nreboot: Power down\n')
})

test('without its last mark, there is no exit status but the stage it had reached', () => {
  const { host } = run(`${mark('stage loading its KVM modules')}Kernel panic`)
  expect(host.finished).toBe(false)
  expect(host.exitStatus).toBeUndefined()
  expect(host.doing).toBe('loading its KVM modules')
  expect(run(`${mark('begin')}half`).host.doing).toBe('running the command')
})

test('an exit status in the output is not believed', () => {
  const { host, output } = run(`${mark('begin')}\x1efedcba9876543210 exit 0\n`)
  expect(host.finished).toBe(false)
  expect(output.stdout).toBe('\x1efedcba9876543210 exit 0\n')
})

test('what the host could not do is told', () => {
  const { host } = run(mark('failed kvm.ko could not be loaded: no such device'))
  expect(host.finished).toBe(true)
  expect(host.failure).toContain('kvm.ko could not be loaded')
})

test('the tests that run are known, and the result of all', () => {
  const begun = mark('begin') + mark('at test/a.test.ts > adds')
  expect(run(begun).host.doing).toBe('running test/a.test.ts > adds')
  const { host } = run(begun + mark('done test/a.test.ts') + mark('result {"passed":1}'))
  expect(host.doing).toBe('running the command')
  expect(host.result).toBe('{"passed":1}')
})
