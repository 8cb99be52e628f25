/** Helpers that send packets to a guest as handlers do. */
import { Address, CHECKSUM_DONE, Demiflow, Interface } from "@demiflow/core"
import type { Fixture, ReceivedFrame } from "./fixture.ts"
import { checksumOf, hasRightChecksum, parse, u16 } from "./packets.ts"

export const offloads = {
  checksumOffload: true,
  tcpSegmentation: true,
  udpSegmentation: true,
  headroom: 12,
  mtu: 65_520,
}
export const towards = (forwarding: string, correspondent: string): Demiflow =>
  Demiflow.of(Interface.tap, Address.parse(forwarding), 53, Address.parse(correspondent), 4000)
export const four: Demiflow = towards("198.51.100.7", "192.0.2.2")
export const six: Demiflow = towards("2001:db8:1::7", "2001:db8::2")
export const demiflows: [string, Demiflow][] = [
  ["IPv4", four],
  ["IPv6", six],
]

export interface Sending {
  readonly checksumOffset?: number
  readonly segmentSize?: number
  readonly headerLength?: number
  readonly hopLimit?: number
  readonly trafficClass?: number
}

/** Sends a transport header and payload as handlers do. */
export function send(
  fixture: Fixture,
  demiflow: Demiflow,
  protocol: number,
  transport: Uint8Array,
  options: Sending = {},
): number {
  const offset = fixture.tap.begin(demiflow, protocol, transport.length, options.hopLimit)
  if (offset < 0) return offset
  fixture.arena.bytes.set(transport, offset)
  const { checksumOffset = CHECKSUM_DONE, segmentSize, headerLength, trafficClass } = options
  fixture.tap.end(offset, transport.length, checksumOffset, segmentSize, headerLength, trafficClass)
  return offset
}

export function flushed(fixture: Fixture): ReceivedFrame[] {
  fixture.tap.flush()
  return fixture.received()
}

/** True if the checksum is right, or will be once the link has completed it. */
export function isRightOrPartial(frame: { bytes: Uint8Array; checksumStart: number; checksumOffset: number }): boolean {
  const packet = parse(frame.bytes)
  if (frame.checksumStart === 0) return hasRightChecksum(packet)
  const completed = frame.bytes.slice()
  completed.set(u16(checksumOf(completed.subarray(frame.checksumStart))), frame.checksumStart + frame.checksumOffset)
  return hasRightChecksum(parse(completed))
}
