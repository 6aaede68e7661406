/** What the help says besides the options, for the terminal and the man page alike. */

export interface Row {
  readonly term: string
  readonly text: string
}

export interface CommandDetails {
  /** Paragraphs. */
  readonly text: readonly string[]
  readonly examples: readonly Row[]
}

export const overview: readonly string[] = [
  "KVM keeps the registers of a POWER guest behind the ioctls KVM_GET_ONE_REG and KVM_SET_ONE_REG. This program shows them, says whether this host can move a guest's timebase to another host and why not, and reads the files in which QEMU and this library save one.",
  'On little-endian POWER Linux the commands use the real kernel, through /dev/kvm, on vCPUs of their own: no running guest is touched. Elsewhere a software model of KVM stands in.',
]

export const firstSteps: readonly Row[] = [
  { term: 'kvm-ppc-onereg info', text: 'is this host fit for a move, and if not, what to do' },
  { term: 'kvm-ppc-onereg demo', text: 'watch a guest move' },
  { term: 'kvm-ppc-onereg registers --probe', text: 'which registers this kernel has' },
  { term: 'kvm-ppc-onereg decode guest.stream', text: 'what a file of QEMU holds' },
]

export const commandDetails: Readonly<Record<string, CommandDetails>> = {
  info: {
    text: [
      'Each line is a check: "ok"; "warn", which somebody should know and no move needs; "FAIL", without which no timebase can be moved; or "-", which is neither good nor bad. Below a line that is not well stands what to do.',
      'TB_OFFSET is tried on a new vCPU: it is written and read back.',
      'The exit status is 1 if a check failed.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg info', text: 'the report' },
      {
        term: 'kvm-ppc-onereg info --json | jq \'.checks[] | select(.status != "ok")\'',
        text: 'what is not well',
      },
    ],
  },
  registers: {
    text: [
      'Names are those of the kernel without KVM_REG_PPC_. With --probe a new vCPU is asked for each; a register that this kernel or processor lacks shows the name of the error instead of a value.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg registers', text: 'the table' },
      { term: 'kvm-ppc-onereg registers --probe | grep TB_OFFSET', text: 'one of them, as it is' },
    ],
  },
  demo: {
    text: [
      'A guest of four vCPUs is moved from one host to another. On POWER both are this one, with real vCPUs; the source claims to have been started 90 days earlier. Elsewhere they are two models.',
      'The exit status is 1 if the guest would have noticed.',
    ],
    examples: [{ term: 'kvm-ppc-onereg demo', text: 'in words, step by step' }],
  },
  decode: {
    text: [
      'The file is a migration stream of QEMU, a timebase that serializeTimebase() saved, or with --format the bytes of one VMState, in which nothing says what they are. What gzip packed is unpacked.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg decode guest.stream', text: "sections, and the guest's timebase" },
      { term: 'kvm-ppc-onereg decode --all --json guest.stream', text: 'every field of it' },
      { term: 'xz -dc guest.stream.xz | kvm-ppc-onereg decode -', text: 'from standard input' },
      { term: 'kvm-ppc-onereg decode --format spapr blob', text: 'the bytes of one VMState' },
    ],
  },
}

export const environment: readonly Row[] = [
  {
    term: 'KVM_PPC_BACKEND',
    text: '"kvm", "software" or "auto", the default: the real kernel, the model, or whichever fits this machine',
  },
  {
    term: 'KVM_PPC_TRACE',
    text: 'if set to 1, each call to KVM is printed on standard error: seconds since the start, file descriptor, register, value, result, and how long it took',
  },
  {
    term: 'NO_COLOR, FORCE_COLOR',
    text: 'no colours, and colours even where there is no terminal, as everywhere in Node',
  },
  { term: 'COLUMNS', text: 'the width of the output where it goes to no terminal' },
]

export const exitStatus: readonly Row[] = [
  { term: '0', text: 'done, and all is well' },
  { term: '1', text: 'it failed, or a check did' },
  { term: '2', text: 'wrong usage' },
]

export const jsonNote =
  'With --json a command prints one JSON document, described by docs/cli.schema.json in the package. Values of 64 bits are decimal strings, since a JSON number would lose their low bits; bytes are hexadecimal.'
