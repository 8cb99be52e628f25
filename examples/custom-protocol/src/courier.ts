/**
 * Courier, a protocol that exists only here: datagrams over IP protocol 253 (set aside for experiments by RFC 3692), with
 * four bytes of header, the sender's and the receiver's port, and nothing else.
 *
 * # Theory of operation
 *
 * The guest speaks Courier; the world does not. So what the guest sends leaves as UDP to the same address and port, and what
 * comes back goes to the guest as Courier. Each conversation (one address and port of the guest, one beyond) is a flow. A
 * conversation ends after a minute without a word in either direction.
 *
 * All conversations of a port of the guest's share one UDP socket of the host, bound to the same port if that is free
 * (`GuestPorts`): every correspondent sees one sender, and may introduce it to others. Such a socket hears anybody. What
 * it receives belongs to the conversation with the sender; a sender without one is a stranger, and not heard.
 *
 * The forwarding policy decides where a flow goes, as for every other protocol: Courier to the gateway reaches the
 * host's loopback, if the stack's rules say so. Nothing in demiflow knows that Courier exists.
 */
import {
  CHECKSUM_DONE,
  type Components,
  DatagramBatch,
  Demiflow,
  type Disposition,
  type DropReason,
  type FlowIndex,
  FORWARD,
  flowOf,
  type GuestPort,
  GuestPorts,
  HANDLED,
  HostEvent,
  initiatingSide,
  type ProtocolHandler,
  type ProtocolPlugin,
  type Rider,
  type Sequence,
  type SideRef,
  targetSide,
} from "@demiflow/core"

/** IP protocol number. */
export const COURIER_PROTOCOL = 253
/** Bytes of source port and target port. */
export const COURIER_HEADER_LENGTH = 4

/** Options of the plugin. */
export interface CourierOptions {
  /** Milliseconds without a word after which a conversation ends. */
  readonly timeout?: number
}

/** The plugin, to be registered with a stack. */
export function courier(options: CourierOptions = {}): ProtocolPlugin {
  return (components) => new CourierHandler(components, options.timeout ?? 60_000)
}

const LARGEST_PAYLOAD = 65_507

/** All the state that a conversation has, beside its sides in the flow table. */
class Conversation implements Rider {
  readonly flow: FlowIndex
  readonly port: GuestPort
  nextRider: Rider | undefined
  previousRider: Rider | undefined

  constructor(flow: FlowIndex, port: GuestPort) {
    this.flow = flow
    this.port = port
    port.board(this)
  }

  get portSide(): SideRef {
    return targetSide(this.flow)
  }
}

class CourierHandler implements ProtocolHandler {
  readonly name = "courier"
  // Ports let the tap side group neighbouring packets of one conversation.
  readonly claims = [{ ipProtocol: COURIER_PROTOCOL, hasPorts: true }]
  readonly #components: Components
  readonly #timeout: number
  readonly #ports: GuestPorts
  /** By flow. */
  readonly #conversations: (Conversation | undefined)[] = []
  readonly #outgoing = new DatagramBatch(64)
  readonly #incoming = new DatagramBatch(1)
  readonly #ends = [new Demiflow()]
  readonly #target = new Demiflow()
  readonly #tap = new Demiflow()
  readonly #malformed: DropReason
  readonly #noSocket: DropReason
  readonly #notTaken: DropReason
  readonly #noRoom: DropReason
  readonly #stranger: DropReason

  constructor(components: Components, timeout: number) {
    const { drops } = components
    this.#components = components
    this.#timeout = timeout
    this.#ports = new GuestPorts(components, COURIER_PROTOCOL)
    this.#malformed = drops.reason("courier: malformed")
    this.#noSocket = drops.reason("courier: no socket")
    this.#notTaken = drops.reason("courier: not taken by the host")
    this.#noRoom = drops.reason("courier: no room towards the guest")
    this.#stranger = drops.reason("courier: from a stranger")
  }

  fromTap(sequence: Sequence): Disposition {
    const conversation = this.#conversationOf(sequence)
    if (!(conversation instanceof Conversation)) return conversation.dropped
    const { drops, flows, host } = this.#components
    const batch = this.#outgoing
    flows.readSide(conversation.portSide, this.#target)
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
      const taken = Math.max(0, host.sendDatagramsTo(conversation.port.socket, this.#target, 0, batch, 0, count))
      if (taken < count) drops.count(this.#notTaken, count - taken)
      count = 0
    }
    this.#touch(conversation)
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const conversation = this.#conversations[flowOf(side)]
    if (conversation === undefined) return
    // Courier has no way to report errors: taking them keeps the socket going.
    if (events & HostEvent.error) this.#components.host.socketError(conversation.port.socket)
    if ((events & HostEvent.readable) === 0) return
    while (this.#receiveOne(conversation));
  }

  expire(flow: FlowIndex): void {
    this.#end(flow)
  }

  abort(flow: FlowIndex): void {
    this.#end(flow)
  }

  /** The conversation of a sequence, a new one if there is none yet, or why there can't be one. */
  #conversationOf(sequence: Sequence): Conversation | { readonly dropped: DropReason } {
    const { flows, forwarding, handlerNumber } = this.#components
    const tap = sequence.demiflow
    const side = flows.lookup(COURIER_PROTOCOL, tap)
    const known = side < 0 ? undefined : this.#conversations[flowOf(side)]
    if (known !== undefined) return known

    // From here on in stages: a flow that isn't complete can't be found by anybody.
    const verdict = forwarding.target(COURIER_PROTOCOL, tap, this.#target)
    if (verdict !== FORWARD) return { dropped: verdict as DropReason }
    const created = flows.allocate(handlerNumber, COURIER_PROTOCOL)
    if (created < 0) return { dropped: this.#noSocket }
    const initiated = flows.initiate(created, tap)
    const port = this.#ports.share(targetSide(initiated), tap, this.#target)
    if (typeof port === "number") {
      flows.cancel(initiated)
      return { dropped: this.#noSocket }
    }
    const flow = flows.activate(flows.target(initiated, this.#target))
    // What comes back is found by its sender.
    flows.makeTargetFindable(flow)
    const conversation = new Conversation(flow, port)
    this.#conversations[flow] = conversation
    return conversation
  }

  /**
   * Receives a datagram straight to where it is sent from; false if there is none. It may belong to any conversation of the
   * port, which is known only once it is there: `expected` is a guess.
   */
  #receiveOne(expected: Conversation): boolean {
    const { guest, host, flows, arena, drops } = this.#components
    const { port } = expected
    flows.readSide(initiatingSide(expected.flow), this.#tap)
    const offset = guest.begin(this.#tap, COURIER_PROTOCOL, COURIER_HEADER_LENGTH + LARGEST_PAYLOAD)
    if (offset < 0) {
      drops.count(this.#noRoom)
      return false
    }
    const batch = this.#incoming
    batch.offset[0] = offset + COURIER_HEADER_LENGTH
    batch.length[0] = LARGEST_PAYLOAD
    if (host.receiveFromAnyone(port.socket, batch, this.#ends, 1) !== 1) {
      guest.abandon(offset)
      return false
    }
    const [ends] = this.#ends
    port.complete(ends)
    const side = flows.lookup(COURIER_PROTOCOL, ends)
    const heard = side < 0 ? undefined : this.#conversations[flowOf(side)]
    if (heard === undefined) {
      guest.abandon(offset)
      drops.count(this.#stranger)
      return true
    }
    if (heard !== expected) {
      flows.readSide(initiatingSide(heard.flow), this.#tap)
      guest.redirect(offset, this.#tap, COURIER_PROTOCOL)
    }
    arena.view.setUint16(offset, this.#tap.forwardingPort)
    arena.view.setUint16(offset + 2, this.#tap.correspondentPort)
    guest.end(offset, COURIER_HEADER_LENGTH + batch.length[0], CHECKSUM_DONE)
    this.#touch(heard)
    return true
  }

  #touch({ flow }: Conversation): void {
    const { flows, clock } = this.#components
    flows.schedule(flow, clock.now + this.#timeout)
  }

  #end(flow: FlowIndex): void {
    const conversation = this.#conversations[flow]
    if (conversation === undefined) return
    this.#conversations[flow] = undefined
    this.#ports.leave(conversation.port, conversation)
    this.#components.flows.release(flow)
  }
}
