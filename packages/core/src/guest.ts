/**
 * The guest, as protocols send to it: they build packets in place, in the arena, and queue them for the link. The
 * implementation is in `@demiflow/tap`.
 *
 * {@link Guest.begin} reserves room and writes the Ethernet and IP headers. The handler writes the transport header at
 * the offset returned, and the payload behind it. {@link Guest.end} fills in lengths and checksum, cuts the packet into
 * fragments if it exceeds the MTU, and queues it. The demiflow handed over with a packet determines its source and
 * destination.
 *
 * Several packets may be begun before the first is ended. {@link Guest.abandon} takes back one that isn't to be sent. A
 * forgotten one is taken back, and counted, at the end of the turn.
 */
import type { Address } from "./address.ts"
import type { Demiflow } from "./demiflow.ts"
import type { HostNeighbours } from "./host-neighbours.ts"
import type { LinkCapabilities } from "./link.ts"
import type { MacAddress } from "./mac-address.ts"
import type { Neighbours } from "./neighbours.ts"

/** Checksum kinds for {@link Guest.end}, besides the offset of a checksum field. */
export const CHECKSUM_DONE = -1

/** What the forwarding policy reads from a guest. */
export type GuestEnds = Pick<Guest, "lastSeenV4" | "lastSeenV6" | "lastSeenLinkLocal" | "ourLinkLocal" | "hasAddress">

/** The guest, as protocols see it. */
export interface Guest {
  readonly capabilities: LinkCapabilities
  /** Largest IP packet that the guest takes, bytes: the MTU announced to it. */
  readonly mtu: number
  /** Our own Ethernet address. */
  readonly ourMac: MacAddress
  /** The Ethernet address heard last, broadcast before that: the destination of packets whose station isn't known. */
  readonly guestMac: MacAddress
  /** The stations of the guest's link by their IP addresses: they determine where packets go. */
  readonly neighbours: Neighbours
  /** Ethernet addresses of the hosts outside, as the guest finds them: the sources of packets to the guest. */
  readonly hostNeighbours: HostNeighbours
  /** Our own link-local address, which we use as the guest's router. */
  readonly ourLinkLocal: Address
  /**
   * The addresses of its network that the guest last used or announced. Used only to start something towards the guest.
   * The assigned address is here until the guest is heard, or for good if the user said so.
   */
  readonly lastSeenV4: Address
  readonly lastSeenV6: Address
  readonly lastSeenLinkLocal: Address
  /**
   * Whether the guest has the address and may be reached there. If the user said that the guest is reached at its
   * assigned address, true for no other.
   *
   * @param isAssumed the result if nothing was seen of the address: true for those that the guest was set up with
   */
  hasAddress(address: Address, isAssumed: boolean): boolean
  /**
   * True while the link takes no more frames than it holds. A handler leaves payload for the guest where it is until
   * `ProtocolHandler.resume`. Replies, acknowledgements and other small packets may be sent.
   */
  readonly isCongested: boolean

  /**
   * Starts an IP packet from the demiflow's forwarding address to its correspondent address.
   *
   * @param protocol IP protocol number
   * @param room largest length of transport header and payload, bytes, up to 65,515
   * @param hopLimit of the packet, 1–255
   * @param station Ethernet address that it goes to, where that isn't the neighbour with the correspondent's address:
   *   for a station that has no address yet. Without meaning for groups
   * @returns arena offset for the transport header, or -1 if there is no room before the next {@link Guest.flush}. The
   *   packet then counts as dropped, under the name of the handler that is running. A handler that leaves the payload
   *   where it is, for later, first asks {@link Guest.hasRoom}
   */
  begin(demiflow: Demiflow, protocol: number, room: number, hopLimit?: number, station?: MacAddress): number
  /**
   * True if {@link Guest.begin}, or {@link Guest.beginFrame}, would succeed now for a packet with this room, or for as
   * many as `packets` says, one after another. Counts nothing, and may flush.
   */
  hasRoom(room: number, packets?: number): boolean
  /**
   * Changes the ends of a packet that was begun and not ended, for a caller that learns only with the payload where the
   * packet goes. The version of IP may change too.
   */
  redirect(transportOffset: number, demiflow: Demiflow, protocol: number, hopLimit?: number): void
  /**
   * Finishes the packet and queues it.
   *
   * @param transportOffset the offset that `begin` returned
   * @param length bytes of transport header and payload
   * @param checksumOffset of the checksum field in the transport header, to be filled in with the checksum over
   *   pseudo-header and packet; {@link CHECKSUM_DONE} if there is nothing to do
   * @param segmentSize payload bytes of each segment, if the link is to cut TCP or UDP payload into segments (only with
   *   the link's capability), else 0
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
   * Records that the station whose packets are being handled takes IP packets of `mtu` bytes of this version in one
   * frame, as it has agreed or announced. Absent where that makes no difference.
   */
  noticeMtu?(isV4: boolean, mtu: number): void
  /**
   * Records a router's report, on the guest's side, that the path to an address takes IP packets of at most `mtu`
   * bytes: for ten minutes, IPv6 datagrams to it become fragments of that size. Absent where that makes no difference.
   */
  noticePathMtu?(address: Address, mtu: number): void
  /** Largest IP packet, in bytes, that the path to an address is known to take. Absent: {@link Guest.mtu}. */
  pathMtu?(address: Address): number
  /**
   * Notes that the packets that are handled next were sent by this station, some time ago. Absent where that makes no
   * difference.
   */
  hearAgain?(station: MacAddress): void
  /** Takes back packets that were begun and not ended, from this one on. */
  abandon(transportOffset: number): void
  /**
   * Starts a frame that isn't IP, to the Ethernet address given.
   *
   * @returns arena offset behind the Ethernet header, or -1 as for {@link Guest.begin}
   */
  beginFrame(target: MacAddress, etherType: number, room: number): number
  /** Queues such a frame with `length` bytes behind the Ethernet header. */
  endFrame(offset: number, length: number): void
  /** Hands what is queued to the link. Packets that are open stay so. */
  flush(): void
  /**
   * Takes back the packets that are open, counts them under the name of the handler that began them, and flushes. The
   * stack calls it at the end of each turn. An offset from an earlier turn may be another packet's. Absent:
   * {@link Guest.flush} is called.
   */
  endTurn?(): void
}
