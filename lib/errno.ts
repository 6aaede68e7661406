import { getSystemErrorName } from 'node:util'

/**
 * Linux's numbers for the errors that KVM's calls give. `os.constants` will not do: it has the numbers of
 * the system that Node runs on, and the model behaves like Linux on every system.
 */
export const errnos = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSYS: 38,
  EOPNOTSUPP: 95,
} as const

export type ErrnoName = keyof typeof errnos

const names = new Map<number, string>(Object.entries(errnos).map(([name, errno]) => [errno, name]))

/** The name of a negative errno: `'EINVAL'` for -22. */
export function errnoName(errno: number): string {
  return names.get(-errno) ?? getSystemErrorName(errno)
}

const absent: ReadonlySet<string> = new Set<ErrnoName>([
  'EINVAL',
  'ENOENT',
  'ENXIO',
  'EPERM',
  'EOPNOTSUPP',
])

/**
 * Whether this errno of an ONE_REG call says that the vCPU does not have the register. Any other errno says
 * that the call failed. There are several such codes, since the kernel's api.rst asks not to rely on one:
 * POWER gives EINVAL for a register that it does not know, and ENXIO for one whose device is absent.
 */
export function meansAbsent(errno: number): boolean {
  return absent.has(errnoName(errno))
}
