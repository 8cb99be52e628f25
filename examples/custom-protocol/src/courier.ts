/**
 * Courier, a protocol that exists only here: datagrams over IP protocol 253 (set aside for experiments by RFC 3692), with
 * four bytes of header, the sender's and the receiver's port, and nothing else.
 *
 * # Theory of operation
 *
 * The guest speaks Courier; the world does not. So each conversation (one address and port of the guest, one beyond) is
 * a flow with a UDP socket of the host: what the guest sends leaves as UDP to the same address and port, what comes back
 * goes to the guest as Courier. A conversation ends after a minute without a word in either direction.
 *
 * The forwarding policy decides where a flow goes, as for every other protocol: Courier to the gateway reaches the
 * host's loopback, if the stack's rules say so. Nothing in demiflow had to be told that Courier exists.
 */
import {
  CHECKSUM_DONE,
  type Components,
  DatagramBatch,
  Demiflow,
  type Disposition,
  type DropReason,
  Errno,
  type FlowIndex,
  FORWARD,
  flowOf,
  HANDLED,
  HostEvent,
  initiatingSide,
  NO_SOCKET,
  type ProtocolHandler,
  type ProtocolPlugin,
  type Sequence,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"

/** IP protocol number. */
export const COURIER_PROTOCOL = 253
/** Bytes of source port and target port. */
export const COURIER_HEADER_LENGTH = 4

/** What the plugin can be told. */
export interface CourierOptions {
  /** Milliseconds without a word after which a conversation ends. */
  readonly timeout?: number
}

/** The plugin, to be registered with a stack. */
export function courier(options: CourierOptions = {}): ProtocolPlugin {
  return (components) => new CourierHandler(components, options.timeout ?? 60_000)
}

const LARGEST_PAYLOAD = 65_507

class CourierHandler implements ProtocolHandler {
  readonly name = "courier"
  // Ports let the tap side group neighbouring packets of one conversation.
  readonly claims = [{ ipProtocol: COURIER_PROTOCOL, hasPorts: true }]
  readonly #components: Components
  readonly #timeout: number
  /** By flow: all the state that a conversation has. */
  readonly #sockets: Socket[] = []
  readonly #outgoing = new DatagramBatch(64)
  readonly #incoming = new DatagramBatch(1)
  readonly #target = new Demiflow()
  readonly #tap = new Demiflow()
  readonly #malformed: DropReason
  readonly #noSocket: DropReason
  readonly #notTaken: DropReason
  readonly #noRoom: DropReason

  constructor(components: Components, timeout: number) {
    const { drops } = components
    this.#components = components
    this.#timeout = timeout
    this.#malformed = drops.reason("courier: malformed")
    this.#noSocket = drops.reason("courier: no socket")
    this.#notTaken = drops.reason("courier: not taken by the host")
    this.#noRoom = drops.reason("courier: no room towards the guest")
  }

  fromTap(sequence: Sequence): Disposition {
    const flow = this.#flowOf(sequence)
    if (typeof flow !== "number") return flow.dropped
    const { drops, host } = this.#components
    const batch = this.#outgoing
    let count = 0
    for (let index = 0; index < sequence.count; index++) {
      const start = sequence.transportOffset[index] + COURIER_HEADER_LENGTH
      const length = sequence.endOffset[index] - start
      if (length < 0 || length > LARGEST_PAYLOAD) drops.count(this.#malformed)
      else {
        batch.offset[count] = start
        batch.length[count] = length
        batch.segmentSize[count++] = 0
      }
      if (count < batch.capacity && index < sequence.count - 1) continue
      // Payload goes from where it lies to the socket: it is never copied here.
      const taken = Math.max(0, host.sendDatagrams(this.#sockets[flow], batch, 0, count))
      if (taken < count) drops.count(this.#notTaken, count - taken)
      count = 0
    }
    this.#touch(flow)
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const { host, flows } = this.#components
    const flow = flowOf(side)
    const socket = this.#sockets[flow]
    // Courier has no way to report errors: taking them keeps the socket going.
    if (events & HostEvent.error) host.socketError(socket)
    if ((events & HostEvent.readable) === 0) return
    flows.readSide(initiatingSide(flow), this.#tap)
    while (this.#receiveOne(socket)) this.#touch(flow)
  }

  expire(flow: FlowIndex): void {
    this.#end(flow)
  }

  abort(flow: FlowIndex): void {
    this.#end(flow)
  }

  /** The flow of a sequence, a new one if there is none yet, or why there can't be one. */
  #flowOf(sequence: Sequence): FlowIndex | { readonly dropped: DropReason } {
    const { flows, forwarding, host, handlerNumber } = this.#components
    const tap = sequence.demiflow
    const known = flows.lookup(COURIER_PROTOCOL, tap)
    if (known >= 0) return flowOf(known)

    // From here on in stages: a flow that isn't complete can't be found by anybody.
    const verdict = forwarding.target(COURIER_PROTOCOL, tap, this.#target)
    if (verdict !== FORWARD) return { dropped: verdict as DropReason }
    const created = flows.allocate(handlerNumber, COURIER_PROTOCOL)
    if (created < 0) return { dropped: this.#noSocket }
    const targeted = flows.target(flows.initiate(created, tap), this.#target)
    let socket = host.udpOpen(targetSide(targeted), this.#target)
    if (socket === -Errno.EADDRINUSE) {
      // The guest's port is taken on the host: any other will do.
      this.#target.forwardingPort = 0
      socket = host.udpOpen(targetSide(targeted), this.#target)
    }
    if (socket < 0) {
      flows.cancel(targeted)
      return { dropped: this.#noSocket }
    }
    const flow = flows.activate(targeted)
    this.#sockets[flow] = socket
    return flow
  }

  /** Receives a datagram straight to where it is sent from; false if there is none. */
  #receiveOne(socket: Socket): boolean {
    const { guest, host, arena, drops } = this.#components
    const offset = guest.begin(this.#tap, COURIER_PROTOCOL, COURIER_HEADER_LENGTH + LARGEST_PAYLOAD)
    if (offset < 0) {
      drops.count(this.#noRoom)
      return false
    }
    const batch = this.#incoming
    batch.offset[0] = offset + COURIER_HEADER_LENGTH
    batch.length[0] = LARGEST_PAYLOAD
    if (host.receiveDatagrams(socket, batch, 1) !== 1) {
      guest.abandon(offset)
      return false
    }
    arena.view.setUint16(offset, this.#tap.forwardingPort)
    arena.view.setUint16(offset + 2, this.#tap.correspondentPort)
    guest.end(offset, COURIER_HEADER_LENGTH + batch.length[0], CHECKSUM_DONE)
    return true
  }

  #touch(flow: FlowIndex): void {
    const { flows, clock } = this.#components
    flows.schedule(flow, clock.now + this.#timeout)
  }

  #end(flow: FlowIndex): void {
    const { flows, host } = this.#components
    host.close(this.#sockets[flow])
    this.#sockets[flow] = NO_SOCKET
    flows.release(flow)
  }
}
