import { endianness } from 'node:os'
import { checkWord } from '../checks.ts'

const backends = ['auto', 'kvm', 'software'] as const

export type Backend = (typeof backends)[number]

/**
 * Which kernel an option asks for, or the environment variable KVM_PPC_BACKEND where there is no
 * option, or else `'auto'`.
 *
 * @throws TypeError ERR_INVALID_ARG_VALUE for an unknown one
 */
export function chosenBackend(option?: Backend): Backend {
  if (option !== undefined) return checkWord('options.backend', option, backends)
  const fromEnvironment = process.env['KVM_PPC_BACKEND'] ?? ''
  return fromEnvironment === '' ? 'auto' : checkWord('KVM_PPC_BACKEND', fromEnvironment, backends)
}

/** What `'auto'` comes to on this machine. */
export function actualBackend(option?: Backend): 'kvm' | 'software' {
  const backend = chosenBackend(option)
  if (backend !== 'auto') return backend
  return isPowerHost() ? 'kvm' : 'software'
}

/** Little-endian ppc64 Linux: AIX and big-endian Linux are ppc64 to Node as well. */
function isPowerHost(): boolean {
  return process.platform === 'linux' && process.arch === 'ppc64' && endianness() === 'LE'
}
