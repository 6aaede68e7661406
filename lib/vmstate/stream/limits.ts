/**
 * Limits on the memory and the time that one stream can cost, even if it was damaged on purpose. Memory is
 * allocated for bytes that have arrived, never for a length that the stream only claims. Each limit is for a
 * whole stream, unless its comment says otherwise.
 */

/**
 * Bytes that are kept in memory until the description at the end of the stream is read: all packages, and
 * everything from the first device section on. 64 MiB; a guest of 2048 vCPUs needs about 26.
 */
export const HELD_LIMIT = 64 * 1024 * 1024

/** Packages in which there are devices. QEMU sends one in a postcopy migration. */
export const PACKAGE_LIMIT = 64

/** Bytes of the description: 8 MiB. One vCPU needs about 2 KiB. */
export const DESCRIPTION_LIMIT = 8 * 1024 * 1024

/** Places that look like a description in a stream that does not end with one. Each of them is parsed. */
export const DESCRIPTION_CANDIDATE_LIMIT = 8

/** Levels of arrays and objects in the description. QEMU's streams have up to 11. */
export const DESCRIPTION_DEPTH_LIMIT = 64

/** Arrays and objects in the description, and keys: that of 2048 vCPUs has about 82,000 and 222,000. */
export const DESCRIPTION_NODE_LIMIT = 1 << 18
export const DESCRIPTION_KEY_LIMIT = 1 << 19

/** Fields and structures decoded from one stream, in arrays too: those of 2048 vCPUs have about 250,000. */
export const VALUE_LIMIT = 1 << 19

/** Blocks of RAM: main memory, memory backends, ROMs of devices. */
export const RAM_BLOCK_LIMIT = 4096

/** Bytes of a machine's name: `pseries-10.0`. */
export const MACHINE_NAME_LIMIT = 255

/** Bytes of the XML in libvirt's save image; it has 64 KiB of padding. */
export const LIBVIRT_HEADER_LIMIT = 16 * 1024 * 1024

/** Capabilities in the configuration. QEMU writes at most two. */
export const CAPABILITY_LIMIT = 64

/**
 * Part and end sections, and commands, that a result lists. The stream of a guest that ran during its
 * migration can have any number of part sections; beyond this limit they are only counted.
 */
export const LISTED_LIMIT = 1 << 16

/** Places that the error of an ambiguous search names. The search ends after one more. */
export const NAMED_PLACES = 8

/** Snapshots in a qcow2 image. QEMU takes up to 65,536. */
export const SNAPSHOT_LIMIT = 4096

/** Bytes that are read from a file, or taken from memory, at a time. */
export const READ_SIZE = 1024 * 1024

/** Records or sections that are parsed before the parser pauses, so that it does not block the event loop. */
export const TURN = 1 << 13

/**
 * A packed stream may unpack to UNPACKED_AT_LEAST bytes in any case, and beyond that to UNPACKED_RATIO times
 * its packed size. gzip reaches 1,032 at most; zstd packs a guest's memory to a thousandth if all pages are
 * alike.
 */
export const UNPACKED_RATIO = 1 << 13
export const UNPACKED_AT_LEAST = 1 << 30

/**
 * zstd data may have FRAMES_AT_LEAST frames, and one more for each FRAME_BYTES unpacked bytes. The number is
 * limited because even an empty frame takes some time.
 */
export const FRAMES_AT_LEAST = 1 << 12
export const FRAME_BYTES = 1 << 16
