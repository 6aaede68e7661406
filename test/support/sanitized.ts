/** Whether the addon is under AddressSanitizer, which is slow with memory and reserves very much of it. */
export const sanitized = process.env['ASAN_OPTIONS'] !== undefined
