import {
  type Address,
  Address as AddressClass,
  DatagramBatch,
  Demiflow,
  Interface,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  type SocketError,
  SocketEvent,
  type TcpInformation,
  Vectors,
} from "@demiflow/core"
import { it } from "vitest"
import type { SocketsUnderTest } from "./sockets-under-test.ts"

const REGION = 4 << 20
const TURNS = 3_000

/** A datagram and its two ends. */
export interface ReceivedDatagram {
  readonly bytes: Uint8Array
  readonly ends: Demiflow
}

/** Defines a test of something that the host may not be able to do: only if it can. */
export function testOf(canDo: boolean): (name: string, test: () => void | Promise<void>) => void {
  return canDo ? (name, test) => void it(name, test) : () => {}
}

/** State that the tests of a host share: memory, events, waiting. */
export class SocketsBench {
  readonly under: SocketsUnderTest
  readonly vectors: Vectors
  readonly region: number
  readonly batch: DatagramBatch = new DatagramBatch(64)
  readonly information: TcpInformation = {
    minimumRtt: -9,
    rtt: -9,
    bytesAcknowledged: -9,
    bytesReceived: -9,
    sendWindow: -9,
    sendMss: -9,
    notSentBytes: -9,
    silence: -9,
  }
  readonly socketError: SocketError = {
    errno: 0,
    origin: 0,
    icmpType: -1,
    icmpCode: -1,
    information: -1,
    reporter: new AddressClass(),
    source: new AddressClass(),
    destination: new AddressClass(),
    destinationPort: -1,
    payloadOffset: -1,
    payloadLength: -1,
  }
  /** For {@link SocketsBench.receiveFromAnyone}. */
  readonly ends: readonly Demiflow[] = Array.from({ length: 64 }, () => new Demiflow(Interface.host))
  readonly #events = new Map<SideRef, number>()
  readonly #listenerEvents = new Map<ListenerRef, number>()
  #nextSide = 1_000
  #nextListener = 0
  #sockets: Socket[] = []

  constructor(under: SocketsUnderTest) {
    this.under = under
    const { arena } = under.sockets
    this.vectors = new Vectors(arena, 64)
    this.region = arena.reserve(REGION, 64)
  }

  /** A side that nothing else uses. */
  newSide(): SideRef {
    return this.#nextSide++ as SideRef
  }

  /** A listener that nothing else uses. */
  newListener(): ListenerRef {
    return this.#nextListener++ as ListenerRef
  }

  /** The bound end of a listening socket, with an address or none. */
  listeningEnd(address: Address | undefined, port: number, more: Partial<ListeningEnd> = {}): ListeningEnd {
    return { address, port, interfaceName: undefined, freebind: false, ...more }
  }

  /** A host side towards an end, from anywhere. */
  towards(end: { readonly address: Address; readonly port: number }): Demiflow {
    const demiflow = new Demiflow(Interface.host)
    demiflow.correspondentAddress.copyFrom(end.address)
    demiflow.correspondentPort = end.port
    // Unspecified, of the same family.
    if (end.address.isV4) demiflow.forwardingAddress.copyFrom(AddressClass.fromV4(0))
    return demiflow
  }

  /** Registers a socket that is closed after the test if the test didn't. */
  keep(socket: Socket): Socket {
    this.#sockets.push(socket)
    return socket
  }

  /** The test has closed the socket. */
  closed(socket: Socket): void {
    this.#sockets = this.#sockets.filter((other) => other !== socket)
  }

  closeAll(): void {
    for (const socket of this.#sockets) this.under.sockets.close(socket)
    this.#sockets = []
    this.#events.clear()
    this.#listenerEvents.clear()
  }

  /** Events reported for a side since they were last taken. */
  eventsOf(side: SideRef): number {
    return this.#events.get(side) ?? 0
  }

  /** Forgets the events reported for a side. */
  forgetEvents(side: SideRef): void {
    this.#events.delete(side)
  }

  /** Events reported for a listener since they were last taken. */
  eventsOfListener(listener: ListenerRef): number {
    return this.#listenerEvents.get(listener) ?? 0
  }

  /** Forgets the events reported for a listener. */
  forgetArrivals(listener: ListenerRef): void {
    this.#listenerEvents.delete(listener)
  }

  /** Waits until an arrival at the listener is reported, and forgets the report. */
  async untilArrival(listener: ListenerRef): Promise<void> {
    await this.until(
      "an arrival at the listener is reported",
      () => (this.eventsOfListener(listener) & SocketEvent.readable) !== 0,
    )
    this.forgetArrivals(listener)
  }

  /** Waits until the condition holds; fails with the description if it doesn't. */
  async until(what: string, condition: () => boolean): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) {
      if (condition()) return
      await this.turn()
    }
    throw new Error(`It did not happen that ${what}`)
  }

  /** Waits until all of these events were reported for the side, and forgets them. */
  async untilEvents(side: SideRef, events: number): Promise<void> {
    await this.until(`events ${events} are reported`, () => (this.eventsOf(side) & events) === events)
    this.forgetEvents(side)
  }

  /** Lets some time pass, so that pending events have happened. */
  async settle(turns = 20): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await this.turn()
  }

  async turn(): Promise<void> {
    await this.under.turn(
      (side, events) => this.#events.set(side, this.eventsOf(side) | events),
      (listener, events) => this.#listenerEvents.set(listener, this.eventsOfListener(listener) | events),
    )
  }

  /** Puts bytes into the region and a vector over them. */
  put(bytes: Uint8Array, at = 0, vector = 0): void {
    this.under.sockets.arena.bytes.set(bytes, this.region + at)
    this.vectors.set(vector, this.region + at, bytes.length)
  }

  /** Sends bytes in one call. Returns the host's result. */
  send(socket: Socket, bytes: Uint8Array): number {
    this.put(bytes)
    return this.under.sockets.send(socket, this.vectors, 0, 1)
  }

  /** Peeks up to `length` bytes. Returns the bytes, or the negated error number. */
  peek(socket: Socket, length: number, skip: number): Uint8Array | number {
    const { sockets } = this.under
    sockets.arena.bytes.fill(0, this.region, this.region + length)
    this.vectors.set(0, this.region, length)
    const peeked = sockets.peek(socket, this.vectors, 0, 1, skip)
    return peeked < 0 ? peeked : this.bytes(this.region, peeked)
  }

  /** A copy of arena memory. */
  bytes(offset: number, length: number): Uint8Array {
    return this.under.sockets.arena.bytes.slice(offset, offset + length)
  }

  /** Sends datagrams in one call, through a connected socket. */
  sendDatagrams(socket: Socket, ...datagrams: readonly Uint8Array[]): number {
    this.#putDatagrams(datagrams)
    return this.under.sockets.sendDatagrams(socket, this.batch, 0, datagrams.length)
  }

  /** Sends datagrams in one call to the correspondent end of a demiflow, through an unconnected socket. */
  sendDatagramsTo(socket: Socket, demiflow: Demiflow, ...datagrams: readonly Uint8Array[]): number {
    this.#putDatagrams(datagrams)
    return this.under.sockets.sendDatagramsTo(socket, demiflow, 0, this.batch, 0, datagrams.length)
  }

  #putDatagrams(datagrams: readonly Uint8Array[]): void {
    let at = this.region
    for (const [index, bytes] of datagrams.entries()) {
      this.under.sockets.arena.bytes.set(bytes, at)
      this.batch.offset[index] = at
      this.batch.length[index] = bytes.length
      this.batch.segmentSize[index] = 0
      at += bytes.length
    }
  }

  /** Receives into entries of this size. Returns the datagrams (joined ones split), or the negated error number. */
  receiveDatagrams(socket: Socket, count = 16, room = 65_536): Uint8Array[] | number {
    this.#prepareBatch(count, room)
    const received = this.under.sockets.receiveDatagrams(socket, this.batch, count)
    if (received < 0) return received
    return Array.from({ length: received }, (_, index) => index).flatMap((index) => this.#takeApart(index, room))
  }

  /** Receives datagrams with their ends. Returns them (joined ones split), or the negated error number. */
  receiveFromAnyone(socket: Socket, count = 16, room = 65_536): ReceivedDatagram[] | number {
    this.#prepareBatch(count, room)
    const received = this.under.sockets.receiveFromAnyone(socket, this.batch, this.ends, count)
    if (received < 0) return received
    return Array.from({ length: received }, (_, index) => index).flatMap((index) => {
      const ends = this.ends[index].clone()
      return this.#takeApart(index, room).map((bytes) => ({ bytes, ends }))
    })
  }

  #prepareBatch(count: number, room: number): void {
    const { batch } = this
    for (let index = 0; index < count; index++) {
      batch.offset[index] = this.region + index * room
      batch.length[index] = room
      batch.segmentSize[index] = -1
    }
  }

  #takeApart(index: number, room: number): Uint8Array[] {
    const { batch } = this
    const whole = this.bytes(batch.offset[index], Math.min(room, batch.length[index]))
    const size = batch.segmentSize[index] || Math.max(1, whole.length)
    const pieces: Uint8Array[] = []
    for (let start = 0; start === 0 || start < whole.length; start += size)
      pieces.push(whole.slice(start, start + size))
    return pieces
  }
}
