import { Address, MacAddress, sumBytes } from "@demiflow/core"

const ETHERNET_LENGTH = 14
const IPV4_LENGTH = 20
const IPV6_LENGTH = 40

/** Numbers that count up: neither random nor constant. */
export class CountingRandom {
  #next = 1
  int32(): number {
    this.#next = (Math.imul(this.#next, 1_664_525) + 1_013_904_223) | 0
    return this.#next
  }
}

export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index * 31 + 17)
}

/** A frame from the guest to us. */
export function ipv4(protocol: number, payload: Uint8Array, from: string, to: string): Uint8Array {
  const frame = new Uint8Array(ETHERNET_LENGTH + IPV4_LENGTH + payload.length)
  const view = new DataView(frame.buffer)
  MacAddress.parse("9a:55:9a:55:9a:55").write(view, 0)
  MacAddress.parse("02:00:00:00:00:02").write(view, 6)
  view.setUint16(12, 0x0800)
  view.setUint16(14, 0x4500)
  view.setUint16(16, IPV4_LENGTH + payload.length)
  view.setUint8(22, 64)
  view.setUint8(23, protocol)
  frame.set(Address.parse(from).toBytes(), 26)
  frame.set(Address.parse(to).toBytes(), 30)
  view.setUint16(24, ~sumBytes(view, ETHERNET_LENGTH, IPV4_LENGTH, 0))
  frame.set(payload, ETHERNET_LENGTH + IPV4_LENGTH)
  return frame
}

/** The addresses and the transport part of a frame to the guest. */
export function parse(frame: Uint8Array): { from: string; to: string; transport: Uint8Array } {
  const isV4 = new DataView(frame.buffer, frame.byteOffset).getUint16(12) === 0x0800
  const [start, length, header] = isV4 ? [26, 4, IPV4_LENGTH] : [22, 16, IPV6_LENGTH]
  const address = (offset: number) => Address.fromBytes(frame.subarray(offset, offset + length)).toString()
  return { from: address(start), to: address(start + length), transport: frame.slice(ETHERNET_LENGTH + header) }
}
