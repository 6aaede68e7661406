import { actualBackend } from '../kernel/backend.ts'
import { errnoName, meansAbsent } from '../errno.ts'
import { KvmError } from '../errors.ts'
import { openHost } from '../kvm/host.ts'
import { registerNames, registers } from '../registers.ts'
import type { RegisterName } from '../registers.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { machineName } from '../kvm/this-machine.ts'
import { json, table } from './print.ts'
import { LIST_FORMAT } from './register-list.ts'
import { heading, styled } from './terminal.ts'

export interface RegistersCommandOptions {
  readonly json?: boolean
  readonly probe?: boolean
}

/** The result of reading a register: its value, or the name of the error. */
type Answer = { readonly value: AnyRegisterValue } | { readonly error: string }

/**
 * The command `registers`: prints the table, with `--probe` also the value or error of each on a new vCPU.
 *
 * @param names the registers to print; if there is none, all
 */
export function listRegisters(
  names: readonly RegisterName[],
  options: RegistersCommandOptions,
): number {
  const listed = names.length === 0 ? registerNames : [...new Set(names)]
  const backend = actualBackend()
  const answers = options.probe ? probe(listed, backend) : undefined
  const rows = listed.map((name) => {
    const { id, width, meaning } = registers[name]
    return { name, id: `0x${id.toString(16)}`, width, meaning, ...answers?.get(name) }
  })
  if (options.json) {
    const { format } = LIST_FORMAT
    const probed = answers === undefined ? {} : { machine: machineName(), backend }
    console.log(json({ format, ...probed, registers: rows }))
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
    const kernel = backend === 'kvm' ? 'this kernel' : 'the software model'
    console.log(`\n${readable} of ${listed.length} registers can be read on ${kernel}`)
  }
  return 0
}

function probe(
  names: readonly RegisterName[],
  backend: 'kvm' | 'software',
): Map<RegisterName, Answer> {
  // The output names the backend, so the warning that `auto` gives for the model is not needed.
  using host = openHost({ backend })
  using vm = host.createVm()
  using vcpu = vm.createVcpu(0)
  return new Map(names.map((name) => [name, ask(vcpu, name)]))
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
