import type { DropReason, Drops } from "@demiflow/core"

/** The verdict on a packet without faults. */
export const PASSED = -1
/** {@link PASSED}, or the reason to drop a packet. */
export type Verdict = DropReason | typeof PASSED

/** The reasons why the tap side drops frames of the guest. */
export class FromGuestReasons {
  readonly ethernetShort: DropReason
  readonly ethernetSource: DropReason
  readonly ethernetTarget: DropReason
  readonly ethernetVlan: DropReason
  readonly ethernetLength: DropReason
  readonly v4Short: DropReason
  readonly v4Version: DropReason
  readonly v4HeaderLength: DropReason
  readonly v4TotalLength: DropReason
  readonly v4Checksum: DropReason
  readonly v4Source: DropReason
  readonly v4Loopback: DropReason
  readonly v6Short: DropReason
  readonly v6Version: DropReason
  readonly v6PayloadLength: DropReason
  readonly v6Source: DropReason
  readonly v6Loopback: DropReason
  readonly v6Mapped: DropReason
  readonly v6HeaderCut: DropReason
  readonly v6HeaderOrder: DropReason
  readonly v6HeaderCount: DropReason
  readonly v6Option: DropReason
  readonly v6Routing: DropReason
  readonly v6NothingInside: DropReason

  constructor(drops: Drops) {
    this.ethernetShort = drops.reason("eth: shorter than its header")
    this.ethernetSource = drops.reason("eth: source address of a group or of nobody")
    this.ethernetTarget = drops.reason("eth: for another station")
    this.ethernetVlan = drops.reason("eth: VLAN tag")
    this.ethernetLength = drops.reason("eth: length instead of an EtherType")
    this.v4Short = drops.reason("ip4: shorter than its header")
    this.v4Version = drops.reason("ip4: version")
    this.v4HeaderLength = drops.reason("ip4: header length")
    this.v4TotalLength = drops.reason("ip4: total length")
    this.v4Checksum = drops.reason("ip4: header checksum")
    this.v4Source = drops.reason("ip4: source address of a group")
    this.v4Loopback = drops.reason("ip4: loopback address")
    this.v6Short = drops.reason("ip6: shorter than its header")
    this.v6Version = drops.reason("ip6: version")
    this.v6PayloadLength = drops.reason("ip6: payload length")
    this.v6Source = drops.reason("ip6: source address of a group")
    this.v6Loopback = drops.reason("ip6: loopback address")
    this.v6Mapped = drops.reason("ip6: IPv4-mapped address")
    this.v6HeaderCut = drops.reason("ip6: extension header cut off")
    this.v6HeaderOrder = drops.reason("ip6: extension header out of place")
    this.v6HeaderCount = drops.reason("ip6: too many extension headers")
    this.v6Option = drops.reason("ip6: option that must not be skipped")
    this.v6Routing = drops.reason("ip6: routing header with segments left")
    this.v6NothingInside = drops.reason("ip6: no next header")
  }
}
