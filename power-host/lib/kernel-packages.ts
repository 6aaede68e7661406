/** The names of the packages that a package of this name depends on. */
export type Dependencies = (name: string) => Promise<string[]>

/**
 * The packages that have to be unpacked for the kernel that a meta package stands for. Up to trixie
 * that is one; since then, the image and the modules have packages of their own.
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

/** The names in the Depends field of what `apt-cache show` prints; of alternatives, the first. */
export function dependenciesOf(record: string): string[] {
  const field = /^Depends: (.*)/m.exec(record)?.[1] ?? ''
  return field.split(',').flatMap((dependency) => /[^\s|(:]+/.exec(dependency)?.[0] ?? [])
}
