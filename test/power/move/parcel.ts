import type { GuestImage, TestGuest } from '../guest/index.ts'

/**
 * What a stopped guest has besides the registers of KVM_GET_ONE_REG and its timebase, as it goes over the wire: pc,
 * msr and the general registers, which KVM_GET_REGS reads, and its memory.
 */
export interface Parcel {
  readonly regs: readonly string[]
  readonly pages: Readonly<Record<string, string>>
}

export function packGuest(guest: TestGuest): Parcel {
  const { regs, pages } = guest.takeOut()
  return {
    regs: regs.map((bytes) => bytes.toString('base64')),
    pages: Object.fromEntries([...pages].map(([at, page]) => [at, page.toString('base64')])),
  }
}

export function unpackGuest(guest: TestGuest, parcel: Parcel): void {
  const bytes = (text: string) => Buffer.from(text, 'base64')
  const image: GuestImage = {
    regs: parcel.regs.map(bytes),
    pages: new Map(Object.entries(parcel.pages).map(([at, page]) => [Number(at), bytes(page)])),
  }
  guest.putIn(image)
}
