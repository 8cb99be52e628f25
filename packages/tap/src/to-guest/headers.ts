/** Ethernet and IP headers of packets that we send. Nothing is reused from one packet for the next. */
import {
  type Address,
  addSums,
  type Demiflow,
  ETHERNET_SOURCE,
  ETHERNET_TARGET,
  ETHERNET_TYPE,
  finishChecksum,
  foldSum,
  IPV4_CHECKSUM,
  IPV4_FLAGS_AND_OFFSET,
  IPV4_IDENTIFICATION,
  IPV4_SOURCE,
  IPV4_TARGET,
  IPV4_TIME_TO_LIVE,
  IPV4_TOTAL_LENGTH,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  IPV6_TARGET,
  type MacAddress,
  sumPseudoHeader,
} from "@demiflow/core"

/** Version 4, header of five words, type of service 0; and version 6, traffic class and flow label 0. */
const V4_START = 0x4500
const V6_START = 0x60000000

/**
 * Sets the Ethernet address for an IP multicast or broadcast address (RFC 1112, section 6.4; RFC 2464, section 7).
 * Returns false if the address is neither.
 */
export function readGroup(address: Address, target: MacAddress): boolean {
  if (address.isMulticast) {
    target.high = address.isV4 ? 0x0100 : 0x3333
    target.low = address.isV4 ? 0x5e000000 | (address.word3 & 0x7fffff) : address.word3
    return true
  }
  if (!address.isLimitedBroadcast) return false
  target.high = 0xffff
  target.low = -1
  return true
}

/** Writes the Ethernet header of a frame. */
export function writeEthernet(
  view: DataView,
  frame: number,
  source: MacAddress,
  target: MacAddress,
  etherType: number,
): void {
  target.write(view, frame + ETHERNET_TARGET)
  source.write(view, frame + ETHERNET_SOURCE)
  view.setUint16(frame + ETHERNET_TYPE, etherType)
}

/**
 * Writes what is known of an IPv4 header at once; {@link completeV4} writes the rest. Returns the folded sum of both
 * addresses.
 */
export function beginV4(view: DataView, network: number, demiflow: Demiflow, lifeAndProtocol: number): number {
  const from = demiflow.forwardingAddress.word3
  const to = demiflow.correspondentAddress.word3
  view.setUint16(network + IPV4_TIME_TO_LIVE, lifeAndProtocol)
  view.setInt32(network + IPV4_SOURCE, from)
  view.setInt32(network + IPV4_TARGET, to)
  return foldSum((from >>> 16) + (from & 0xffff) + (to >>> 16) + (to & 0xffff))
}

/**
 * Completes an IPv4 header, including its checksum.
 *
 * @param totalLength of the packet, bytes
 * @param flagsAndOffset as in the header
 * @param addressSum the folded sum of both addresses
 * @param trafficClass type of service, 0–255
 */
export function completeV4(
  view: DataView,
  network: number,
  totalLength: number,
  identification: number,
  flagsAndOffset: number,
  lifeAndProtocol: number,
  addressSum: number,
  trafficClass: number,
): void {
  const start = V4_START | trafficClass
  view.setUint16(network, start)
  view.setUint16(network + IPV4_TOTAL_LENGTH, totalLength)
  view.setUint16(network + IPV4_IDENTIFICATION, identification)
  view.setUint16(network + IPV4_FLAGS_AND_OFFSET, flagsAndOffset)
  const sum = start + totalLength + identification + flagsAndOffset + lifeAndProtocol + addressSum
  view.setUint16(network + IPV4_CHECKSUM, finishChecksum(foldSum(sum)))
}

/**
 * Writes an IPv6 header except the payload length and a traffic class other than 0, which {@link classifyV6} writes.
 * Returns the folded sum of both addresses.
 */
export function beginV6(view: DataView, network: number, demiflow: Demiflow, nextHeader: number, life: number): number {
  view.setInt32(network, V6_START)
  view.setUint16(network + IPV6_NEXT_HEADER, (nextHeader << 8) | life)
  demiflow.forwardingAddress.writeV6(view, network + IPV6_SOURCE)
  demiflow.correspondentAddress.writeV6(view, network + IPV6_TARGET)
  return sumPseudoHeader(demiflow, 0, 0)
}

/** Writes a traffic class into an IPv6 header. */
export function classifyV6(view: DataView, network: number, trafficClass: number): void {
  view.setInt32(network, V6_START | (trafficClass << 20))
}

/** Returns the folded sum of a pseudo-header, from the sum of its addresses. */
export function pseudoHeaderSum(addressSum: number, protocol: number, length: number): number {
  return addSums(addressSum, foldSum(protocol + length))
}
