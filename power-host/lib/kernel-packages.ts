/** Returns the names of the packages that a package depends on. */
export type Dependencies = (name: string) => Promise<string[]>

/**
 * The packages to unpack for the kernel of a meta package. Up to trixie there is one; after it the image and
 * the modules have packages of their own.
 */
export async function kernelPackages(
  metaPackage: string,
  dependencies: Dependencies,
): Promise<string[]> {
  const image = (await dependencies(metaPackage)).find((name) => name.startsWith('linux-image-'))
  if (image === undefined) throw new Error(`${metaPackage} names no kernel`)
  const parts = (await dependencies(image)).filter((name) => /^linux-(binary|modules)-/.test(name))
  return parts.length > 0 ? parts : [image]
}

/** The names in the field Depends of the output of `apt-cache show`; the first one of alternatives. */
export function dependenciesOf(record: string): string[] {
  const field = /^Depends: (.*)/m.exec(record)?.[1] ?? ''
  return field.split(',').flatMap((dependency) => /[^\s|(:]+/.exec(dependency)?.[0] ?? [])
}
