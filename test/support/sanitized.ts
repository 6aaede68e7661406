/** Whether the addon runs under AddressSanitizer, which makes it slow and reserves very much memory. */
export const sanitized = process.env['ASAN_OPTIONS'] !== undefined
