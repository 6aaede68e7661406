/** The texts of the help, for the terminal and for the man page; commander adds the options. */

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
  "KVM keeps the registers of a POWER guest behind the ioctls KVM_GET_ONE_REG and KVM_SET_ONE_REG. This program shows them, checks whether this host can move a guest's timebase to another host, and reads the files in which QEMU and this library save timebases.",
  'On little-endian POWER Linux the commands use the real kernel, through /dev/kvm, on vCPUs of their own, and do not touch running guests. On other machines they use a software model of KVM.',
]

export const firstSteps: readonly Row[] = [
  {
    term: 'kvm-ppc-onereg info',
    text: 'check whether this host can move guests, and what to do if not',
  },
  { term: 'kvm-ppc-onereg demo', text: 'watch a guest move' },
  { term: 'kvm-ppc-onereg registers --probe', text: 'see which registers this kernel has' },
  { term: 'kvm-ppc-onereg decode guest.stream', text: 'show the content of a file from QEMU' },
]

export const commandDetails: Readonly<Record<string, CommandDetails>> = {
  info: {
    text: [
      'Each line is a check. "ok" is good; "warn" is a problem that does not prevent moves; "FAIL" means that no timebase can be moved; "-" is only information. The line below a problem says what to do.',
      'TB_OFFSET is tried on a new vCPU: it is written and read back.',
      'The exit status is 1 if a check failed. A script that needs the real kernel asks for it with --require kvm: then the software model is a failed check.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg info', text: 'the report' },
      { term: 'kvm-ppc-onereg info --require kvm', text: 'is this a host that moves real guests?' },
      {
        term: 'kvm-ppc-onereg info --json | jq \'.checks[] | select(.status != "ok")\'',
        text: 'only the checks that are not ok',
      },
    ],
  },
  registers: {
    text: [
      'The names are those of the kernel without KVM_REG_PPC_. With --probe each register is read from a new vCPU; for a register that this kernel or processor lacks the error is shown instead of a value.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg registers', text: 'the table' },
      {
        term: 'kvm-ppc-onereg registers --probe TB_OFFSET DEC_EXPIRY',
        text: 'two registers with their values',
      },
      {
        term: 'kvm-ppc-onereg registers --probe --json > source.json',
        text: 'a file for the command compare',
      },
    ],
  },
  compare: {
    text: [
      'Each file is the output of registers --probe --json on one of the hosts. The registers for which the two hosts gave different answers are shown. The time registers count, so their values are not compared.',
      'The exit status is 1 if the destination lacks a register that the source has: the guest may keep something there, which would be lost. Other differences do no harm: a register that only the destination has keeps the value of a new vCPU, and one that has another value on a new vCPU gets that of the guest.',
    ],
    examples: [
      {
        term: 'kvm-ppc-onereg compare source.json destination.json',
        text: 'the registers that differ',
      },
      {
        term: 'ssh source kvm-ppc-onereg registers --probe --json | kvm-ppc-onereg compare - here.json',
        text: 'one of the files from standard input',
      },
    ],
  },
  demo: {
    text: [
      'A guest of four vCPUs is moved from one host to another. On POWER both hosts are this one, with real vCPUs; the source pretends to have been started 90 days earlier. On other machines both are software models.',
      'The exit status is 1 if the guest would have noticed the move.',
    ],
    examples: [{ term: 'kvm-ppc-onereg demo', text: 'the move, explained step by step' }],
  },
  verify: {
    text: [
      'Small guests of its own are run, whose vCPUs read their timebase without pause. They are moved between two VMs in every way, get a vCPU more, and see loads that fail in the middle; their decrementers have to fire. Each reading is compared with the one before and with the timebase of the host. Other guests are not touched. Any user who may open /dev/kvm can run it.',
      'The report has what was seen of each promise. "first reading" is how long after the timebase with which it goes on the last vCPU read its own, in the median move and the latest; "earliest" and "latest" are how late decrementers fired. These and the times depend on how busy the machine is, and nothing is judged by them.',
      'The exit status is 1 if a promise is broken, or on a machine without KVM for POWER. Registers that are not as in the software model break none.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg verify', text: 'the report, after some 20 seconds' },
      {
        term: 'kvm-ppc-onereg verify --seconds 600 --vcpus 16',
        text: 'more moves of a larger guest',
      },
      { term: 'kvm-ppc-onereg verify --json > report.json', text: 'for a bug report' },
    ],
  },
  check: {
    text: [
      'Run it on the destination before the guest is stopped, with the timebase of an earlier save. It compares the frequency, the registers that were saved with those of this kernel, and the clocks. A new vCPU is used, which never runs.',
      'The exit status is 1 if a check failed.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg check guest.json', text: 'the report' },
      { term: 'ssh source cat guest.json | kvm-ppc-onereg check -', text: 'from standard input' },
    ],
  },
  plan: {
    text: [
      'The numbers are those of loadTimebase() with the same options at this moment. No vCPU is made and no register is written. A load that would be refused ends with its error and status 1.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg plan guest.json', text: 'the numbers' },
      {
        term: 'kvm-ppc-onereg plan --max-downtime-ns 10000000000 guest.json',
        text: 'refused after a pause of more than 10 s',
      },
    ],
  },
  decode: {
    text: [
      'The file is a migration stream of QEMU, a save image of libvirt (virsh save), whose domain and machine are shown as well, a qcow2 image with a snapshot of a running guest (savevm), a timebase that serializeTimebase() saved, or, with --format, the bytes of one VMState, whose format the bytes do not tell.',
      'A file packed with gzip is unpacked, and one packed with zstd if this Node can do that (22.15, 23.8 and later); for other formats the error has the command that unpacks it. A qcow2 image is read from its file, not from standard input.',
    ],
    examples: [
      { term: 'kvm-ppc-onereg decode guest.stream', text: "sections, and the guest's timebase" },
      {
        term: 'kvm-ppc-onereg decode --all --json guest.stream',
        text: 'every field of every device',
      },
      { term: 'kvm-ppc-onereg decode guest.save', text: 'a save image of libvirt' },
      {
        term: 'kvm-ppc-onereg decode --snapshot before-update disk.qcow2',
        text: 'the state of a guest in a snapshot',
      },
      { term: 'xz -dc guest.stream.xz | kvm-ppc-onereg decode -', text: 'from standard input' },
      { term: 'kvm-ppc-onereg decode --format spapr blob', text: 'the bytes of one VMState' },
    ],
  },
}

export const environment: readonly Row[] = [
  {
    term: 'KVM_PPC_BACKEND',
    text: '"kvm" for the real kernel, "software" for the model, or "auto", the default: the real kernel on POWER, the model on other machines',
  },
  {
    term: 'KVM_PPC_TRACE',
    text: 'if set to 1, each call to KVM is printed on standard error: seconds since the start, file descriptor, register, value, result, and how long it took',
  },
  {
    term: 'KVM_PPC_ADDON',
    text: '"built" loads the native addon that was built on this machine instead of the one in the package',
  },
  {
    term: 'NO_COLOR, FORCE_COLOR',
    text: 'no colours, or colours even if the output is not a terminal; both as in Node',
  },
  { term: 'COLUMNS', text: 'the width of the output if it is not a terminal' },
]

export const exitStatus: readonly Row[] = [
  { term: '0', text: 'success, and all checks are good' },
  { term: '1', text: 'the command or a check failed' },
  { term: '2', text: 'wrong usage' },
]

export const jsonNote =
  'With --json a command prints one JSON document, which docs/cli.schema.json in the package describes. Values of 64 bits are decimal strings, since a JSON number would lose their low bits; bytes are hexadecimal.'
