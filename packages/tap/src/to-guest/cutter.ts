/**
 * Packets that don't leave as one frame: TCP and UDP payload of several segments or datagrams for a link that can't cut
 * it, and packets over the MTU, which become fragments (RFC 791, section 3.2; RFC 8200, section 4.5).
 *
 * Each piece is a frame of its own in the spare memory of the queue: headers are copied from the packet in the transmit
 * region and corrected there, and payload is copied behind them. Only here is payload copied on its way to the guest.
 */
import {
  type Arena,
  CHECKSUM_DONE,
  ETHERNET_HEADER_LENGTH,
  finishChecksum,
  finishUdpChecksum,
  IPV4_DONT_FRAGMENT,
  IPV4_HEADER_LENGTH,
  IPV4_MORE_FRAGMENTS,
  IPV6_FRAGMENT_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IpProtocol,
  type Link,
  type LinkCapabilities,
  type Random,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
} from "@demiflow/core"
import type { FrameQueue } from "./frame-queue.ts"
import { completeV4, pseudoHeaderSum } from "./headers.ts"

/** TCP header (RFC 9293, section 3.1). */
const TCP_SEQUENCE_NUMBER = 4
const TCP_FLAGS = 13
const TCP_CHECKSUM = 16
/** Flags for the last segment only (FIN, PSH), and for the first one only (CWR: RFC 3168, section 6.1.2). */
const LAST_ONLY = 0x09
const FIRST_ONLY = 0x80

/** Cuts one packet at a time: the one from the last {@link Cutter.take}. */
export class Cutter {
  readonly #arena: Arena
  readonly #view: DataView
  readonly #random: Random
  readonly #queue: FrameQueue
  readonly #headroom: number
  readonly #capabilities: LinkCapabilities
  #transport = 0
  #length = 0
  #isV4 = true
  #ipLength = 0
  #lifeAndProtocol = 0
  #addressSum = 0
  #trafficClass = 0
  #mtu = 0
  #identification: number

  constructor(link: Link, random: Random, queue: FrameQueue) {
    this.#arena = link.arena
    this.#view = link.arena.view
    this.#random = random
    this.#queue = queue
    this.#headroom = link.capabilities.headroom
    this.#capabilities = link.capabilities
    this.#identification = random.int32() & 0xffff
  }

  /**
   * Returns an IPv4 identification for a packet that may be fragmented on its way; consecutive packets have distinct
   * ones (RFC 6864).
   */
  identify(): number {
    const identification = this.#identification
    this.#identification = (identification + 1) & 0xffff
    return identification
  }

  /**
   * Sets the packet to be cut: Ethernet, IP and transport header, followed by the payload.
   *
   * @param mtu bytes of the largest IP packet that may result
   */
  take(
    transport: number,
    length: number,
    isV4: boolean,
    lifeAndProtocol: number,
    addressSum: number,
    trafficClass: number,
    mtu: number,
  ): void {
    this.#mtu = mtu
    this.#transport = transport
    this.#length = length
    this.#isV4 = isV4
    this.#ipLength = isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH
    this.#lifeAndProtocol = lifeAndProtocol
    this.#addressSum = addressSum
    this.#trafficClass = trafficClass
  }

  /** Sends the packet uncut, or in fragments if it exceeds the MTU. */
  cutNothing(checksumOffset: number): void {
    this.#send(this.#transport, this.#length, checksumOffset)
  }

  /** Sends UDP payload as datagrams of `segmentSize` payload bytes. */
  cutUdp(segmentSize: number): void {
    const view = this.#view
    const ports = view.getInt32(this.#transport)
    const end = this.#transport + this.#length
    let payload = this.#transport + UDP_HEADER_LENGTH
    while (payload < end) {
      const length = Math.min(segmentSize, end - payload)
      // The header goes before its payload, over the end of the previous datagram, which has been sent by now.
      const header = payload - UDP_HEADER_LENGTH
      view.setInt32(header, ports)
      view.setUint16(header + UDP_LENGTH, UDP_HEADER_LENGTH + length)
      this.#send(header, UDP_HEADER_LENGTH + length, UDP_CHECKSUM)
      payload += length
    }
  }

  /**
   * Sends TCP payload as segments.
   *
   * @param segmentSize payload bytes of each segment, 1 or more; reduced to what the MTU allows
   * @param headerLength of the TCP header
   */
  cutTcp(segmentSize: number, headerLength: number): void {
    const arena = this.#arena
    const view = this.#view
    const transport = this.#transport
    const headers = ETHERNET_HEADER_LENGTH + this.#ipLength + headerLength
    const end = transport + this.#length
    const start = view.getInt32(transport + TCP_SEQUENCE_NUMBER)
    const flags = view.getUint8(transport + TCP_FLAGS)
    const first = transport + headerLength
    for (let payload = first; payload < end; payload += segmentSize) {
      const length = Math.min(segmentSize, end - payload)
      const frame = this.#queue.spare(this.#headroom + headers + length) + this.#headroom
      const segment = frame + headers - headerLength
      arena.copy(transport + headerLength - headers, frame, headers)
      arena.copy(payload, frame + headers, length)
      view.setInt32(segment + TCP_SEQUENCE_NUMBER, start + payload - first)
      let kept = 0xff
      if (payload + length < end) kept &= ~LAST_ONLY
      if (payload > first) kept &= ~FIRST_ONLY
      view.setUint8(segment + TCP_FLAGS, flags & kept)
      this.#completeIp(segment, headerLength + length)
      this.#enqueue(frame, segment, headerLength + length, TCP_CHECKSUM)
    }
  }

  /** Copies transport header and payload at `from` into a frame, or into several if they exceed the MTU. */
  #send(from: number, length: number, checksumOffset: number): void {
    if (this.#ipLength + length > this.#mtu) {
      this.#sendFragments(from, length, checksumOffset)
      return
    }
    const headers = ETHERNET_HEADER_LENGTH + this.#ipLength
    const frame = this.#queue.spare(this.#headroom + headers + length) + this.#headroom
    this.#arena.copy(this.#transport - headers, frame, headers)
    this.#arena.copy(from, frame + headers, length)
    this.#completeIp(frame + headers, length)
    this.#enqueue(frame, frame + headers, length, checksumOffset)
  }

  #sendFragments(from: number, length: number, checksumOffset: number): void {
    // No link completes a checksum that covers several frames.
    if (checksumOffset !== CHECKSUM_DONE) this.#complete(from, length, checksumOffset)
    const extra = this.#isV4 ? 0 : IPV6_FRAGMENT_HEADER_LENGTH
    const headers = ETHERNET_HEADER_LENGTH + this.#ipLength
    const most = (this.#mtu - this.#ipLength - extra) & ~7
    const identification = this.#isV4 ? this.identify() : this.#random.int32()
    for (let position = 0; position < length; position += most) {
      const size = Math.min(most, length - position)
      const hasMore = position + size < length
      const frame = this.#queue.spare(this.#headroom + headers + extra + size) + this.#headroom
      this.#arena.copy(this.#transport - headers, frame, headers)
      this.#arena.copy(from + position, frame + headers + extra, size)
      if (this.#isV4) this.#markFragmentV4(frame + headers, size, position, hasMore, identification)
      else this.#markFragmentV6(frame + headers, size, position, hasMore, identification)
      const padded = this.#queue.pad(frame, headers + extra + size)
      this.#queue.batch.setPlain(this.#queue.next(), frame, padded)
    }
  }

  #markFragmentV4(payload: number, size: number, position: number, hasMore: boolean, identification: number): void {
    const network = payload - IPV4_HEADER_LENGTH
    const flagsAndOffset = (hasMore ? IPV4_MORE_FRAGMENTS : 0) | (position >> 3)
    const total = IPV4_HEADER_LENGTH + size
    this.#completeV4(network, total, identification, flagsAndOffset)
  }

  #markFragmentV6(header: number, size: number, position: number, hasMore: boolean, identification: number): void {
    const view = this.#view
    const network = header - IPV6_HEADER_LENGTH
    view.setUint16(network + IPV6_PAYLOAD_LENGTH, IPV6_FRAGMENT_HEADER_LENGTH + size)
    view.setUint8(network + IPV6_NEXT_HEADER, IpProtocol.fragment)
    view.setUint16(header, (this.#lifeAndProtocol & 0xff) << 8)
    view.setUint16(header + 2, position | (hasMore ? 1 : 0))
    view.setInt32(header + 4, identification)
  }

  /** Completes the IP header of a frame that isn't a fragment. */
  #completeIp(transport: number, length: number): void {
    if (!this.#isV4) {
      this.#view.setUint16(transport - IPV6_HEADER_LENGTH + IPV6_PAYLOAD_LENGTH, length)
      return
    }
    const isTcp = (this.#lifeAndProtocol & 0xff) === IpProtocol.tcp
    const network = transport - IPV4_HEADER_LENGTH
    const total = IPV4_HEADER_LENGTH + length
    const flags = isTcp ? IPV4_DONT_FRAGMENT : 0
    const identification = isTcp ? 0 : this.identify()
    this.#completeV4(network, total, identification, flags)
  }

  #completeV4(network: number, total: number, identification: number, flagsAndOffset: number): void {
    completeV4(
      this.#view,
      network,
      total,
      identification,
      flagsAndOffset,
      this.#lifeAndProtocol,
      this.#addressSum,
      this.#trafficClass,
    )
  }

  /** Queues a frame that isn't a fragment, with its checksum completed or left to the link. */
  #enqueue(frame: number, transport: number, length: number, checksumOffset: number): void {
    const { batch } = this.#queue
    const index = this.#queue.next()
    batch.setPlain(index, frame, this.#queue.pad(frame, transport - frame + length))
    if (checksumOffset === CHECKSUM_DONE) return
    if (this.#capabilities.checksumOffload) {
      const pseudo = pseudoHeaderSum(this.#addressSum, this.#lifeAndProtocol & 0xff, length)
      this.#view.setUint16(transport + checksumOffset, pseudo)
      batch.checksumStart[index] = transport - frame
      batch.checksumOffset[index] = checksumOffset
    } else this.#complete(transport, length, checksumOffset)
  }

  #complete(transport: number, length: number, checksumOffset: number): void {
    completeChecksum(
      this.#arena,
      transport,
      length,
      checksumOffset,
      this.#lifeAndProtocol & 0xff,
      pseudoHeaderSum(this.#addressSum, this.#lifeAndProtocol & 0xff, length),
    )
  }
}

/**
 * Writes the checksum over pseudo-header, transport header and payload into its field.
 *
 * @param pseudo the folded sum of the pseudo-header
 */
export function completeChecksum(
  arena: Arena,
  transport: number,
  length: number,
  checksumOffset: number,
  protocol: number,
  pseudo: number,
): void {
  const field = transport + checksumOffset
  arena.view.setUint16(field, 0)
  const sum = arena.sum(transport, length, pseudo)
  arena.view.setUint16(field, protocol === IpProtocol.udp ? finishUdpChecksum(sum) : finishChecksum(sum))
}
