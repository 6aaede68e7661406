/**
 * Bounds on the memory and the time that one stream can cost, whatever it says about itself. Nothing is
 * allocated for a length that a stream only claims: a limit is compared with bytes that have arrived.
 * Each limit is for a whole stream, unless its comment says otherwise.
 */

/**
 * Bytes that are held until the description at the end explains them: all packages, and everything
 * from the first device section on. 64 MiB; a guest of 2048 vCPUs needs about 26.
 */
export const HELD_LIMIT = 64 * 1024 * 1024

/** Packages in which there are devices. QEMU sends one in a postcopy migration. */
export const PACKAGE_LIMIT = 64

/** Bytes of the description: 8 MiB. One vCPU takes about 2 KiB of it. */
export const DESCRIPTION_LIMIT = 8 * 1024 * 1024

/** Places that look like a description, in a stream that does not end with one. Each is parsed. */
export const DESCRIPTION_CANDIDATE_LIMIT = 8

/** Arrays and objects within each other in the description. The streams of QEMU have up to 11. */
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

/** Capabilities in the configuration. QEMU knows two that it writes there. */
export const CAPABILITY_LIMIT = 64

/**
 * Part and end sections, and commands, that a result lists one by one: a guest that was running during
 * its migration can have any number of parts. All part sections are counted.
 */
export const LISTED_LIMIT = 1 << 16

/** Places that the error of an ambiguous search names. The search ends when it has found one more. */
export const NAMED_PLACES = 8

/** Bytes that are read from a file, or taken from memory, at a time. */
export const READ_SIZE = 1024 * 1024

/** How many records or sections are parsed before other work of the process gets its turn. */
export const TURN = 1 << 13

/**
 * Packed bytes may unpack to so many times as many, and to the other number in any case. The most that
 * gzip can do is 1,032; zstd packs a guest's memory a thousandfold if all its pages are alike.
 */
export const UNPACKED_RATIO = 1 << 13
export const UNPACKED_AT_LEAST = 1 << 30
