/** To sort names that contain versions: pseries-2.9 before pseries-2.10. */
export function byVersion(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
