import type { RegisterValues } from '../../../lib/index.ts'
import type { GuestImage, TestGuest } from '../guest/index.ts'

/** A stopped guest as it goes over the wire, but for its timebase. */
export interface Parcel {
  readonly regs: readonly string[]
  readonly pages: Readonly<Record<string, string>>
  readonly registers: readonly Readonly<Record<string, WireValue>>[]
}

/** By the width of the register: 32 bits a number, 64 bits a decimal string, 128 bits hexadecimal. */
type WireValue = number | string | { readonly hex: string }

export function packGuest(guest: TestGuest): Parcel {
  const { regs, pages } = guest.takeOut()
  return {
    regs: regs.map((bytes) => bytes.toString('base64')),
    pages: Object.fromEntries([...pages].map(([at, page]) => [at, page.toString('base64')])),
    registers: guest.vcpus.map((vcpu) => packRegisters(vcpu.snapshot())),
  }
}

export function unpackGuest(guest: TestGuest, parcel: Parcel): void {
  const bytes = (text: string) => Buffer.from(text, 'base64')
  const image: GuestImage = {
    regs: parcel.regs.map(bytes),
    pages: new Map(Object.entries(parcel.pages).map(([at, page]) => [Number(at), bytes(page)])),
  }
  guest.putIn(image)
  parcel.registers.forEach((registers, id) => {
    guest.vcpus[id]?.restore(unpackRegisters(registers))
  })
}

function packRegisters(values: RegisterValues): Record<string, WireValue> {
  const packed = Object.entries(values).map(([name, value]): [string, WireValue] => {
    if (typeof value === 'bigint') return [name, value.toString()]
    return [name, typeof value === 'number' ? value : { hex: Buffer.from(value).toString('hex') }]
  })
  return Object.fromEntries(packed)
}

function unpackRegisters(values: Readonly<Record<string, WireValue>>): RegisterValues {
  const unpacked = Object.entries(values).map(([name, value]): [string, unknown] => {
    if (typeof value === 'string') return [name, BigInt(value)]
    return [
      name,
      typeof value === 'number' ? value : Uint8Array.from(Buffer.from(value.hex, 'hex')),
    ]
  })
  return Object.fromEntries(unpacked)
}
