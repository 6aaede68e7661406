import { endianness } from 'node:os'
import { checkWord } from '../checks.ts'

const backends = ['auto', 'kvm', 'software'] as const

export type Backend = (typeof backends)[number]

/**
 * The backend that an option asks for; without it, the environment variable KVM_PPC_BACKEND; without
 * both, `'auto'`.
 *
 * @throws TypeError ERR_INVALID_ARG_VALUE for an unknown backend
 */
export function chosenBackend(option?: Backend): Backend {
  if (option !== undefined) return checkWord('options.backend', option, backends)
  const fromEnvironment = process.env['KVM_PPC_BACKEND'] ?? ''
  return fromEnvironment === '' ? 'auto' : checkWord('KVM_PPC_BACKEND', fromEnvironment, backends)
}

/** Like {@link chosenBackend}, with `'auto'` decided for this machine. */
export function actualBackend(option?: Backend): 'kvm' | 'software' {
  const backend = chosenBackend(option)
  if (backend !== 'auto') return backend
  return isPowerHost() ? 'kvm' : 'software'
}

/** Whether this is little-endian ppc64 Linux. Node calls AIX and big-endian Linux ppc64 as well. */
function isPowerHost(): boolean {
  return process.platform === 'linux' && process.arch === 'ppc64' && endianness() === 'LE'
}
