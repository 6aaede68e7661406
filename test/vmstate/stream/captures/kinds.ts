/** One way to migrate a guest, as QMP is told. */
export interface CaptureKind {
  readonly name: string
  /** Switched on at both ends, unless `sourceOnly` says otherwise. */
  readonly capabilities: readonly string[]
  readonly sourceOnly?: true
  /** Of migrate-set-parameters, at both ends. */
  readonly parameters?: Readonly<Record<string, unknown>>
  /** What the guest has besides its RAM, or instead of it. */
  readonly guest?: 'shared memory' | 'huge pages' | 'block node' | 'dirty bitmap' | 'uuid'
  /** Whether the guest goes on running; most are migrated stopped, which spares the machine. */
  readonly runs?: true
  /** Switches to postcopy. */
  readonly switches?: true
  /** Goes on copying pages that change until there have been several rounds. */
  readonly rounds?: true
  /** Written to a file, from so many bytes on, instead of a socket. */
  readonly fileOffset?: number
  /** The source goes on to run after its state was saved. */
  readonly sourceRunsOn?: true
}

const MULTIFD = { 'multifd-channels': 2 }

export const captureKinds: readonly CaptureKind[] = [
  { name: 'plain', capabilities: [] },
  { name: 'return-path', capabilities: ['return-path'], runs: true },
  { name: 'uuid', capabilities: ['validate-uuid'], guest: 'uuid' },
  { name: 'xbzrle', capabilities: ['xbzrle'], runs: true, rounds: true },
  { name: 'compress', capabilities: ['compress'] },
  { name: 'postcopy', capabilities: ['postcopy-ram'], runs: true, switches: true },
  { name: 'postcopy-unused', capabilities: ['postcopy-ram'] },
  {
    name: 'postcopy-preempt',
    capabilities: ['postcopy-ram', 'postcopy-preempt'],
    runs: true,
    switches: true,
  },
  { name: 'multifd', capabilities: ['multifd'], parameters: MULTIFD },
  {
    name: 'multifd-zlib',
    capabilities: ['multifd'],
    parameters: { ...MULTIFD, 'multifd-compression': 'zlib' },
  },
  {
    name: 'multifd-zstd',
    capabilities: ['multifd'],
    parameters: { ...MULTIFD, 'multifd-compression': 'zstd' },
  },
  {
    name: 'multifd-postcopy',
    capabilities: ['multifd', 'postcopy-ram'],
    parameters: MULTIFD,
    runs: true,
    switches: true,
  },
  { name: 'mapped-ram', capabilities: ['mapped-ram'], fileOffset: 0 },
  { name: 'mapped-ram-offset', capabilities: ['mapped-ram'], fileOffset: 0x2000 },
  {
    name: 'mapped-ram-multifd',
    capabilities: ['mapped-ram', 'multifd'],
    parameters: MULTIFD,
    fileOffset: 0,
  },
  { name: 'ignore-shared', capabilities: ['x-ignore-shared'], guest: 'shared memory' },
  {
    name: 'background-snapshot',
    capabilities: ['background-snapshot'],
    sourceOnly: true,
    runs: true,
    sourceRunsOn: true,
  },
  { name: 'dirty-bitmaps-none', capabilities: ['dirty-bitmaps'], guest: 'block node' },
  { name: 'dirty-bitmaps', capabilities: ['dirty-bitmaps'], guest: 'dirty bitmap' },
  { name: 'huge-pages', capabilities: ['postcopy-ram'], guest: 'huge pages' },
  {
    name: 'huge-pages-postcopy',
    capabilities: ['postcopy-ram'],
    guest: 'huge pages',
    runs: true,
    switches: true,
  },
]
