/**
 * What a stream may ask of the reader's memory. Nothing is allocated for a length that the stream
 * only claims: these bound what is really there.
 */

/**
 * Bytes from the first device section to the end of the stream, which are held until the description
 * at the end explains them; also the bytes of a package. 64 MiB: a guest of 2048 vCPUs has about 26.
 */
export const HELD_LIMIT = 64 * 1024 * 1024

/** Bytes of the description: 8 MiB. One vCPU takes about 2 KiB of it. */
export const DESCRIPTION_LIMIT = 8 * 1024 * 1024

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

/** Capabilities in the configuration. QEMU knows two that it writes there. */
export const CAPABILITY_LIMIT = 64

/**
 * Part sections, and commands, that a result lists one by one: a guest that was running during its
 * migration has any number. Of part sections all are counted.
 */
export const LISTED_LIMIT = 1 << 16

/** Bytes that are read from a file at a time. */
export const READ_SIZE = 1024 * 1024
