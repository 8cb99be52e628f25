/**
 * The base of UDP sockets, over anything that carries datagrams. Datagrams that arrive wait in a buffer; like a
 * system's, it loses what doesn't fit in.
 */
import {
  type Address,
  type Arena,
  type DatagramBatch,
  type Demiflow,
  Errno,
  hopLimitIn,
  type SideRef,
  SocketEvent,
} from "@demiflow/core"
import { type EventList, HostSocket } from "./host-socket.ts"
import { EDESTADDRREQ, EISCONN } from "./socket-errors.ts"

const RECEIVE_BUFFER = 1 << 20
/** Added to the length of each datagram that waits, so that empty ones fill the buffer too. */
const DATAGRAM_COST = 512
const LARGEST_V4 = 65_507
const LARGEST_V6 = 65_527

interface Arrived {
  readonly bytes: Uint8Array
  readonly address: Address
  readonly port: number
  readonly scope: number
}

/** The one correspondent of a connected socket. */
export interface Correspondent {
  readonly address: Address
  readonly port: number
}

export abstract class DatagramSocket extends HostSocket {
  protected readonly isV4: boolean
  /** Absent: the socket is for any correspondent. */
  protected readonly correspondent: Correspondent | undefined
  #arrived: Arrived[] = []
  #first = 0
  #waitingBytes = 0

  constructor(events: EventList, isV4: boolean, correspondent?: Correspondent) {
    super(events)
    this.isV4 = isV4
    this.correspondent = correspondent
  }

  /**
   * Sends a datagram, by a copy. Returns 0, or a negated error number.
   *
   * @param to absent for a connected socket
   * @param scope of a link-local address there; 0: the default
   */
  protected abstract transmit(
    arena: Arena,
    offset: number,
    length: number,
    to: Demiflow | undefined,
    scope: number,
  ): number

  /** Sets the hop limit of what is sent from now on; 0 restores the default. Returns 0, or a negated error number. */
  setHopLimit(_hopLimit: number): number {
    return -Errno.EPROTONOSUPPORT
  }

  handOver(side: SideRef): void {
    this.listener = undefined
    this.side = side
    if (this.#first < this.#arrived.length) this.report(SocketEvent.readable)
  }

  send(arena: Arena, batch: DatagramBatch, first: number, count: number): number {
    return this.correspondent === undefined ? -EDESTADDRREQ : this.#sendAll(arena, batch, first, count, undefined, 0)
  }

  sendTo(arena: Arena, demiflow: Demiflow, scope: number, batch: DatagramBatch, first: number, count: number): number {
    if (this.correspondent !== undefined) return -EISCONN
    // Where the hop limit can't be set, the default applies.
    if (this.setHopLimit(hopLimitIn(batch.marks)) === -Errno.EAGAIN) return -Errno.EAGAIN
    return this.#sendAll(arena, batch, first, count, demiflow, scope)
  }

  /** @param ends absent for a connected socket */
  receive(arena: Arena, batch: DatagramBatch, count: number, ends?: readonly Demiflow[]): number {
    if (this.pendingError !== 0) return this.takeError()
    const available = Math.min(count, this.#arrived.length - this.#first)
    if (available === 0) return -Errno.EAGAIN
    for (let index = 0; index < available; index++) {
      const { bytes, address, port, scope } = this.#arrived[this.#first++]
      const fitting = Math.min(batch.length[index], bytes.length)
      arena.bytes.set(fitting === bytes.length ? bytes : bytes.subarray(0, fitting), batch.offset[index])
      batch.length[index] = bytes.length
      batch.segmentSize[index] = 0
      batch.trafficClass[index] = 0
      batch.scope[index] = scope
      this.#waitingBytes -= bytes.length + DATAGRAM_COST
      if (ends !== undefined) this.describe(ends[index], address, port)
    }
    this.#forgetTaken()
    return available
  }

  protected override shut(): void {
    this.#arrived = []
  }

  /**
   * A datagram has arrived. Its memory is kept, and must not be used again. False if it is lost.
   *
   * @param scope see `DatagramBatch.scope` of core
   */
  protected arrived(bytes: Uint8Array, address: Address, port: number, scope = 0): boolean {
    const cost = bytes.length + DATAGRAM_COST
    if (!this.isOpen || this.#waitingBytes + cost > RECEIVE_BUFFER) return false
    this.#arrived.push({ bytes, address, port, scope })
    this.#waitingBytes += cost
    this.report(SocketEvent.readable)
    return true
  }

  /** Fills in the ends of a datagram that has arrived. */
  protected describe(into: Demiflow, address: Address, port: number): void {
    into.correspondentAddress.copyFrom(address)
    into.correspondentPort = port
  }

  #sendAll(
    arena: Arena,
    batch: DatagramBatch,
    first: number,
    count: number,
    to: Demiflow | undefined,
    scope: number,
  ): number {
    const largest = (to?.isV4 ?? this.isV4) ? LARGEST_V4 : LARGEST_V6
    for (let index = first; index < first + count; index++) {
      const end = batch.offset[index] + batch.length[index]
      const size = batch.segmentSize[index] || Math.max(1, batch.length[index])
      let start = batch.offset[index]
      do {
        const length = Math.min(end, start + size) - start
        let answer = this.takeError()
        if (answer === 0) answer = length > largest ? -Errno.EMSGSIZE : this.transmit(arena, start, length, to, scope)
        if (answer < 0) {
          batch.length[index] = end - start
          batch.offset[index] = start
          if (batch.length[index] <= size) batch.segmentSize[index] = 0
          return index > first ? index - first : answer
        }
        start += size
      } while (start < end)
    }
    return count
  }

  #forgetTaken(): void {
    if (this.#first === this.#arrived.length) this.#arrived = []
    else if (this.#first < this.#arrived.length / 2) return
    else this.#arrived = this.#arrived.slice(this.#first)
    this.#first = 0
  }
}
