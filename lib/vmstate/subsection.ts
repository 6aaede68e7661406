/** Begins a subsection: then come the length of its name in a byte, its name, and its version, u32. */
export const SUBSECTION_MARK = 0x05
