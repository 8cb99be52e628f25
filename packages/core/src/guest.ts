/**
 * What protocols send to the guest through: packets are built in place, in the arena, and queued for the link. The
 * implementation is in `@demiflow/tap`.
 *
 * Use: {@link Guest.begin} reserves room and writes the Ethernet and IP headers; the handler writes the transport
 * header at the offset it got, payload behind it; {@link Guest.end} fills lengths and checksum, cuts the packet
 * into fragments where it exceeds the MTU, and queues it. Several packets may be begun before the first is ended;
 * one that isn't ended is simply never sent, after {@link Guest.abandon}. The source and destination of every packet
 * are filled in from the demiflow that is handed over with it.
 */
import type { Address } from "./address.ts"
import type { Demiflow } from "./demiflow.ts"
import type { HostNeighbours } from "./host-neighbours.ts"
import type { LinkCapabilities } from "./link.ts"
import type { MacAddress } from "./mac-address.ts"
import type { Neighbours } from "./neighbours.ts"

/** Checksum kinds for {@link Guest.end}, besides the offset of a checksum field. */
export const CHECKSUM_DONE = -1

/** What the forwarding policy asks of a guest. */
export type GuestEnds = Pick<Guest, "lastSeenV4" | "lastSeenV6" | "lastSeenLinkLocal" | "ourLinkLocal" | "hasAddress">

/** The guest, as protocols see it. */
export interface Guest {
  readonly capabilities: LinkCapabilities
  /** Largest IP packet that the guest takes, bytes: the MTU announced to it. */
  readonly mtu: number
  /** Our own Ethernet address. */
  readonly ourMac: MacAddress
  /** The Ethernet address that was heard last, broadcast before that: where a packet goes whose station isn't known. */
  readonly guestMac: MacAddress
  /** The stations of the guest's link by their IP addresses: where packets go. */
  readonly neighbours: Neighbours
  /** Ethernet addresses by which the guest finds what is outside: the source of each packet to the guest. */
  readonly hostNeighbours: HostNeighbours
  /** Our own link-local address, from which we speak as the guest's router. */
  readonly ourLinkLocal: Address
  /**
   * The addresses of its network that the guest was last seen to use, or to announce: consulted only to start something
   * towards the guest. The one assigned stands there until the guest was seen, or for good where the user said so.
   */
  readonly lastSeenV4: Address
  readonly lastSeenV6: Address
  readonly lastSeenLinkLocal: Address
  /**
   * Whether the guest has the address and may be reached there. Never any but the address assigned if the user said that the
   * guest is reached at that.
   *
   * @param isAssumed the answer where nothing has been seen of the address: it is true for those that the guest was set up with
   */
  hasAddress(address: Address, isAssumed: boolean): boolean
  /**
   * True while the link takes no more frames than it has. A handler that would fetch payload for the guest leaves it where it is,
   * until {@link ProtocolHandler.resume}. Answers, acknowledgements and whatever else is small may be sent.
   */
  readonly isCongested: boolean

  /**
   * Starts an IP packet from the demiflow's forwarding address to its correspondent address.
   *
   * @param protocol IP protocol number
   * @param room bytes for transport header and payload at most, to 65,515
   * @param hopLimit of the packet, 1–255
   * @param station Ethernet address that it goes to, where that isn't the neighbour with the correspondent's address: for a
   *   station that has no address yet. Without meaning for groups
   * @returns arena offset for the transport header, or -1 if there is no room before the next {@link Guest.flush}
   */
  begin(demiflow: Demiflow, protocol: number, room: number, hopLimit?: number, station?: MacAddress): number
  /**
   * Gives a packet that was begun, and not ended, other ends: for a caller that learns only with the payload where the
   * packet goes. The version of IP may be another one.
   */
  redirect(transportOffset: number, demiflow: Demiflow, protocol: number, hopLimit?: number): void
  /**
   * Finishes the packet and queues it.
   *
   * @param transportOffset what `begin` answered
   * @param length bytes of transport header and payload
   * @param checksumOffset of the checksum field in the transport header, to have the checksum over pseudo-header and
   *   packet put there; {@link CHECKSUM_DONE} if there is nothing to do
   * @param segmentSize payload bytes of each segment where TCP or UDP payload is left together for the link to cut
   *   (only as its capabilities say), else 0
   * @param headerLength bytes of the transport header, needed with a segment size
   * @param trafficClass IPv4 type of service or IPv6 traffic class, 0–255; 0 if not given
   */
  end(
    transportOffset: number,
    length: number,
    checksumOffset: number,
    segmentSize?: number,
    headerLength?: number,
    trafficClass?: number,
  ): void
  /**
   * Says that the station heard last, whose packets are being handled, takes IP packets of `mtu` bytes of this version in one
   * frame: it has agreed to that, or said so. Absent where that makes no difference.
   */
  noticeMtu?(isV4: boolean, mtu: number): void
  /**
   * Says that a router of the guest's side reported that the path to an address takes IP packets of at most `mtu` bytes: IPv6
   * datagrams to it become fragments of that size for ten minutes. Absent where that makes no difference.
   */
  noticePathMtu?(address: Address, mtu: number): void
  /** Bytes of the largest IP packet that the path to an address takes, as far as that is known. Absent: {@link Guest.mtu}. */
  pathMtu?(address: Address): number
  /** Takes back packets that were begun and not ended, from this one on. */
  abandon(transportOffset: number): void
  /**
   * Starts a frame that isn't IP, to the Ethernet address given.
   *
   * @returns arena offset behind the Ethernet header, or -1
   */
  beginFrame(target: MacAddress, etherType: number, room: number): number
  /** Queues such a frame with `length` bytes behind the Ethernet header. */
  endFrame(offset: number, length: number): void
  /** Hands what is queued to the link. The stack calls it at the end of each turn. */
  flush(): void
}
