/**
 * The base of protocols whose packets leave the host as UDP datagrams: theory of operation.
 *
 * Each packet of the guest is a header of the protocol's own and a payload. The payload leaves by a UDP socket of the
 * host, to the same address and port, and answers go to the guest behind such a header. It is never copied: the host
 * sends it from where it arrived in the arena, and receives it right behind space for the header.
 *
 * All flows of a port of the guest's share one socket, bound to the same port if that is free ({@link GuestPorts}):
 * every correspondent sees one sender, and may introduce it to others. Such a socket receives from anybody. A datagram
 * belongs to the flow with its sender; datagrams of a sender without one are dropped.
 */
import {
  CHECKSUM_DONE,
  type Components,
  DatagramBatch,
  Demiflow,
  type DropReason,
  Errno,
  type FlowTotals,
  type Sequence,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import { FlowHandler, type FlowHandlerOptions, foundBy, Readable, type ReadableId } from "./flow-handler.ts"
import { FlowState } from "./flow-state.ts"
import { totalsOf } from "./flow-totals.ts"
import { GuestPorts } from "./guest-ports.ts"
import { SendingErrors } from "./sending-errors.ts"
import type { GuestPort, Rider } from "./shared-port.ts"

/** Packets that one call sends. */
const BURST = 64
/** Payload bytes of the largest UDP datagram over IPv4, and transport bytes of the largest packet. */
const LARGEST_DATAGRAM = 65_507
const LARGEST_PACKET = 65_515

/** A flow that shares the socket of a port of the host. */
export class PortFlow extends FlowState implements Rider {
  readonly port: GuestPort
  /** Bytes of payload, as in `FlowTotals` of core. */
  bytesFromGuest = 0
  bytesToGuest = 0
  nextRider: Rider | undefined = undefined
  previousRider: Rider | undefined = undefined

  constructor(port: GuestPort) {
    super()
    this.port = port
  }

  get portSide(): SideRef {
    return this.hostSide
  }
}

/** The name, the header and the timer of a protocol. */
export interface DatagramHandlerOptions extends Omit<FlowHandlerOptions, "hasPorts"> {
  /** Bytes before the payload in the guest's packets. The first four are source and destination port. */
  readonly headerLength: number
  /** Milliseconds without a datagram in either direction after which a flow ends. */
  readonly idleTimeout: number
}

/** A protocol with ports, whose payload leaves as UDP. */
export abstract class DatagramHandler extends FlowHandler<PortFlow> {
  readonly #headerLength: number
  readonly #idleTimeout: number
  readonly #largest: number
  readonly #ports: GuestPorts
  readonly #outgoing = new DatagramBatch(BURST)
  readonly #incoming = new DatagramBatch(1)
  readonly #ends = [new Demiflow()]
  readonly #target = new Demiflow()
  readonly #tap = new Demiflow()
  readonly #sendingErrors = new SendingErrors()
  readonly #malformed: DropReason
  readonly #notTaken: DropReason
  readonly #tooLong: DropReason
  readonly #stranger: DropReason

  constructor(components: Components, options: DatagramHandlerOptions) {
    super(components, { ...options, hasPorts: true })
    const { headerLength, idleTimeout, name, protocol } = options
    this.#headerLength = headerLength
    this.#idleTimeout = idleTimeout
    this.#largest = Math.min(LARGEST_DATAGRAM, LARGEST_PACKET - headerLength)
    this.#ports = new GuestPorts(components, protocol)
    this.#malformed = components.drops.reason(`${name}: malformed`)
    this.#notTaken = components.drops.reason(`${name}: not taken by the host`)
    this.#tooLong = components.drops.reason(`${name}: too long for the guest`)
    this.#stranger = components.drops.reason(`${name}: from a stranger`)
  }

  /**
   * Writes the header of a packet to the guest.
   *
   * @param offset arena offset of the header; the payload is behind it
   * @param tap the ends: from forwarding to correspondent
   * @param payloadLength bytes
   */
  protected abstract writeHeader(offset: number, tap: Demiflow, payloadLength: number): void

  protected override open(side: SideRef, tap: Demiflow, target: Demiflow): PortFlow | Socket {
    const port = this.#ports.share(side, tap, target)
    return typeof port === "number" ? port : new PortFlow(port)
  }

  protected override onOpen(flow: PortFlow): void {
    flow.port.board(flow)
    // Answers are found by their sender.
    this.components.flows.makeTargetFindable(flow.flow)
  }

  protected override close(flow: PortFlow): void {
    this.#ports.leave(flow.port, flow)
  }

  protected override idleTimeout(): number {
    return this.#idleTimeout
  }

  protected override socketOf({ port }: PortFlow): Socket {
    return port.socket
  }

  protected override totals(flow: PortFlow): FlowTotals {
    return totalsOf(flow)
  }

  protected override send(flow: PortFlow, sequence: Sequence): void {
    const batch = this.#outgoing
    let count = 0
    for (let index = 0; index < sequence.count; index++) {
      const start = sequence.transportOffset[index] + this.#headerLength
      const length = sequence.endOffset[index] - start
      if (length < 0 || length > LARGEST_DATAGRAM) {
        this.components.drops.count(this.#malformed)
        continue
      }
      flow.bytesFromGuest += length
      batch.offset[count] = start
      batch.length[count] = length
      batch.segmentSize[count++] = 0
      if (count < batch.capacity) continue
      this.#sendBatch(flow, count)
      count = 0
    }
    if (count > 0) this.#sendBatch(flow, count)
  }

  /** Sends entries of the batch. What the host has no room for, or refuses, is dropped. */
  #sendBatch({ hostSide, port }: PortFlow, count: number): void {
    const { drops, flows, sockets } = this.components
    const errors = this.#sendingErrors
    flows.readSide(hostSide, this.#target)
    errors.begin()
    let first = 0
    while (first < count) {
      const sent = sockets.sendDatagramsTo(port.socket, this.#target, 0, this.#outgoing, first, count - first)
      const isFull = sent === 0 || sent === -Errno.EAGAIN || sent === -Errno.ENOBUFS
      if (isFull) break
      // The error may be about an earlier datagram, of any flow of the port.
      if (sent < 0 && errors.mayBeOthers(sent, 0)) continue
      if (sent < 0) drops.count(this.#notTaken)
      first += Math.max(1, sent)
      errors.begin()
    }
    if (first < count) drops.count(this.#notTaken, count - first)
  }

  /**
   * Receives a datagram directly to the place from which it is sent. It may belong to any flow of the port, which is
   * only known after the call: `expected` is a guess.
   */
  protected override onReadable(expected: PortFlow): ReadableId {
    const { drops, flows, guest, sockets } = this.components
    const { port } = expected
    const batch = this.#incoming
    flows.readSide(expected.tapSide, this.#tap)
    const room = this.#headerLength + this.#largest
    if (!guest.hasRoom(room)) return Readable.noRoom
    const offset = guest.begin(this.#tap, this.protocol, room)
    batch.offset[0] = offset + this.#headerLength
    batch.length[0] = this.#largest
    const received = sockets.receiveFromAnyone(port.socket, batch, this.#ends, 1)
    const heard = received > 0 ? this.#senderOf(port) : undefined
    const [length] = batch.length
    if (heard === undefined || length > this.#largest) {
      guest.abandon(offset)
      if (received <= 0) return foundBy(received)
      drops.count(heard === undefined ? this.#stranger : this.#tooLong)
      return Readable.other
    }
    if (heard !== expected) {
      flows.readSide(heard.tapSide, this.#tap)
      guest.redirect(offset, this.#tap, this.protocol)
    }
    this.writeHeader(offset, this.#tap, length)
    guest.end(offset, this.#headerLength + length, CHECKSUM_DONE)
    heard.bytesToGuest += length
    this.delivered(heard)
    return Readable.other
  }

  #senderOf(port: GuestPort): PortFlow | undefined {
    const [ends] = this.#ends
    port.complete(ends)
    return this.states.of(this.components.flows.lookup(this.protocol, ends))
  }
}
