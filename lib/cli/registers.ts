import { actualBackend } from '../kernel/backend.ts'
import { errnoName, meansAbsent } from '../errno.ts'
import { KvmError } from '../errors.ts'
import { openHost } from '../kvm/host.ts'
import { registerNames, registers } from '../registers.ts'
import type { RegisterName } from '../registers.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { json, table } from './print.ts'
import { heading, styled } from './terminal.ts'

/** The result of reading a register: its value, or the name of the error. */
type Answer = { readonly value: AnyRegisterValue } | { readonly error: string }

/** The command `registers`: prints the table, with `--probe` also the value or error of each on a new vCPU. */
export function listRegisters(options: { json?: boolean; probe?: boolean }): number {
  const answers = options.probe ? probe() : undefined
  const rows = registerNames.map((name) => {
    const { id, width, meaning } = registers[name]
    return { name, id: `0x${id.toString(16)}`, width, meaning, ...answers?.get(name) }
  })
  if (options.json) {
    console.log(json(rows))
    return 0
  }
  const titles = ['name', 'id', 'bits', ...(answers ? ['value'] : []), 'meaning']
  console.log(
    table([
      titles.map(heading),
      ...rows.map((row) => {
        const answer = answers?.get(row.name)
        const value = answer ? [shown(answer, row.width)] : []
        return [row.name, row.id, row.width.toString(), ...value, row.meaning]
      }),
    ]),
  )
  if (answers) {
    const readable = [...answers.values()].filter((answer) => 'value' in answer).length
    const kernel = actualBackend() === 'kvm' ? 'this kernel' : 'the software model'
    console.log(`\n${readable} of ${registerNames.length} registers can be read on ${kernel}`)
  }
  return 0
}

function probe(): Map<RegisterName, Answer> {
  // The output names the backend, so the warning that `auto` gives for the model is not needed.
  using host = openHost({ backend: actualBackend() })
  using vm = host.createVm()
  using vcpu = vm.createVcpu(0)
  return new Map(registerNames.map((name) => [name, ask(vcpu, name)]))
}

function ask(vcpu: Vcpu, name: RegisterName): Answer {
  try {
    return { value: vcpu.get(name) }
  } catch (error) {
    if (error instanceof KvmError && meansAbsent(error.errno)) {
      return { error: errnoName(error.errno) }
    }
    throw error
  }
}

function shown(answer: Answer, width: number): string {
  if ('error' in answer) return styled('dim', answer.error)
  const { value } = answer
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  return `0x${value.toString(16).padStart(width / 4, '0')}`
}
