/** The first byte of a subsection; the length of its name (u8), its name and its version (u32) follow. */
export const SUBSECTION_MARK = 0x05
