import type { GoodStream, ListedDevice } from '../expected.ts'
import type { Capture, CapturedMigration } from './migration.ts'

/** Hash page tables have 1/128 of the RAM, 256 MiB; a radix guest has none. */
const HTAB_SHIFT = { hash: 21, radix: 0 } as const

/** The machines before pseries-2.4 send neither a configuration nor footers. */
const hasFooters = (machine: string): boolean => !/^pseries-2\.[0-3]$/.test(machine)
/** pseries-2.1 and 2.2 send no description. */
const describesItself = (machine: string): boolean => !/^pseries-2\.[0-2]$/.test(machine)

/** The capabilities that a stream's configuration names. */
const IN_STREAM = ['x-ignore-shared', 'mapped-ram']

/**
 * What a captured stream must give, from the numbers that QEMU was made to write, from the options that it was
 * given, and from what the destination's trace says that it has loaded. Our reader has no part in it.
 */
export function expectationOf(
  { qemu, kind, machine, mmu }: Capture,
  { chosen, guestTimebase, trace }: CapturedMigration,
  file: string,
): GoodStream {
  const described = describesItself(machine) && kind.switches !== true
  return {
    file,
    captured: { qemu: qemu.version, migration: kind.name, mmu },
    cpu: mmu === 'radix' ? 'POWER9' : 'POWER8',
    machine_in_stream: hasFooters(machine) ? machine : null,
    capabilities: kind.capabilities.filter((name) => IN_STREAM.includes(name)),
    commands: commandsIn(kind.switches ? trace.slice(0, trace.search(PACKAGE)) : trace),
    footers: hasFooters(machine),
    has_description: described,
    htab_shift: HTAB_SHIFT[mmu],
    ...(described ? { devices: devicesIn(trace) } : {}),
    guest_timebase: `${chosen.counter}`,
    // A stream that has to be searched does not give this one.
    guest_visible_timebase: described ? `${guestTimebase}` : null,
    time_of_the_day_ns: `${chosen.timeUs * 1000n}`,
  }
}

/** From here on a second thread of the destination reads too, and their lines are mixed. */
const PACKAGE = /^loadvm_process_command com=PACKAGED/m

function commandsIn(trace: string): string[] {
  const command = /^loadvm_process_command com=(\w+)/gm
  return Array.from(trace.matchAll(command), ([, name = '']) => name)
}

/** `qemu_loadvm_state_section_startfull id(name) instance version` after the line of the section's type, 4. */
function devicesIn(trace: string): ListedDevice[] {
  const full =
    /^qemu_loadvm_state_section 4\nqemu_loadvm_state_section_startfull (\d+)\((.*)\) (\d+) (\d+)$/gm
  return Array.from(trace.matchAll(full), ([, id, name = '', instance, version]) => [
    Number(id),
    name,
    Number(instance),
    Number(version),
  ])
}
