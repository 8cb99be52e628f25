/**
 * UDP between the guest and the host: theory of operation.
 *
 * A flow is what one address and port of the guest's exchanges with one address and port beyond us. Flows share the sockets
 * of ports (core's `SharedPort`): each socket is bound, connected to nobody, and nobody else's. What is sent names its
 * correspondent; what is received is found by both ends, as the kernel names them (`flow-finder.ts`). So, without any more:
 *
 * - all correspondents of a port of the guest's see the same port of the host: the guest's own number, where that is free
 *   (core's `GuestPorts`; RFC 4787, REQ-1, endpoint-independent mapping). It is the same one for several addresses of the
 *   guest's, as a program in there mostly has one socket for all of them;
 * - an address that the guest corresponds with from a port may answer from another one, and nobody else is heard
 *   (`newcomers.ts`; REQ-8, address-dependent filtering). A link-local address is heard from the link alone that the flow goes by
 *   (RFC 4007, section 6); of two clients that have the same one on two links, and the same port, the second isn't heard;
 * - the order of what one socket receives stays, also while flows begin.
 *
 * Neither end says when it is done, so flows end by time (`timeouts.ts`). Traffic only notes the time; the timer reads the
 * note when it runs out and starts again if some had come. A port of the guest's is closed with its last flow.
 *
 * Flows begin (`beginnings.ts`) with the first datagram,
 *
 * - of the guest: the forwarding policy says where it goes. It leaves by a listening port of ours if the correspondent has
 *   asked there, or if that has the guest's port number, leads to just there and reaches the correspondent as other sockets
 *   of the host do (`listening-ports.ts`): an answer leaves from where the question came to, whichever of its addresses the
 *   guest answers from. Otherwise by a port of the guest's.
 * - of anybody on the host, at a listening socket: the policy says where at the guest it goes. Listening sockets say with
 *   each datagram which address of the host it came to, and answers leave from that. The flows of a listening port end with
 *   it. Flows that had the port before it was listened at go on there (`takeovers.ts`).
 *
 * Where the policy says so, a flow that begins at a listening socket goes to a socket at the other end of the local path
 * instead of the tap: from the host into the guest's namespace, or from a listener in there to the host. Such spliced flows
 * have a socket at the other end and no packets, and are `local/`'s: `local/splicing.ts` says how they go. What follows here
 * is about flows between host and tap; time-outs and limits are the same for both.
 *
 * Two senders may be the same to the guest: they came to two ports that lead to one, or one address stands for both. The
 * later one is shown under another port then, as netfilter does it. Anybody can forge senders: flows that their target
 * hasn't answered give way, oldest first, at a limit. Where places of the flow table or sockets are scarce, flows and ports of
 * the guest's give way as well: those that weren't answered in a fair time, and of others those used longest ago (`scarcity.ts`).
 * A port that gives way is closed at once. Its flows end one after the other, by their deadlines (`ports-in-use.ts`).
 *
 * From the guest (`to-host.ts`): the packets of a sequence are checked (`check.ts`) and sent by one call for all of them.
 * Neighbours of one size are put together for the host to cut, what the guest's offload left together with more of that
 * size too (`leaving-together.ts` says why). Hop limit, traffic class and "don't fragment" of each packet are those of the
 * datagram which leaves the host, so that tracing a route and the search for the path's MTU (RFC 8899) work through us, and
 * DSCP and ECN are kept. A full send queue loses datagrams, as networks do, and counts them.
 *
 * From the host (`to-guest.ts`): datagrams are received straight behind room for the headers they get, and keep their
 * traffic class. What the host left together stays so, and neighbours of one size, together or not, are put together if the
 * link cuts them. Each socket has a budget for each turn, and none is read while the guest is congested: what has more waits
 * in one list, and has its turn in that order (`waiting-sources.ts`).
 *
 * Errors (`error-relay.ts`): what routers or the correspondent reported to the host's kernel comes from the socket's
 * error queue, belongs to the flow with the destination that it names, and goes to the guest as the same ICMP error, quoting
 * the guest's datagram with the guest's addresses. What the host itself refuses (no route, say) becomes an error in the name
 * of the address that the guest wrote to, and so does what the policy prohibits. What the guest reports (that nobody listens at its port, say) goes no further: a
 * socket can't report it. That a datagram of IPv6 was too big for a link behind the guest has those that follow fragmented:
 * core's `Guest.noticePathMtu`.
 *
 * To a multicast group a flow leads as to any correspondent. Its members answer from their own addresses, so the guest's port
 * then hears anybody (`newcomers.ts`). The host's kernel hands what is sent to a group to its own sockets as well: ours don't
 * take it for somebody else's (`group-senders.ts`).
 *
 * Not done: broadcast (the policy refuses it).
 *
 * RFC 768; RFC 1122, section 4.1; RFC 8200, section 8.1; RFC 4787 for the treatment of flows.
 */
import {
  type Claim,
  type Components,
  Demiflow,
  type Disposition,
  type FlowIndex,
  flowOf,
  GoingOn,
  type GuestError,
  HANDLED,
  HostEvent,
  Interface,
  type InterfaceId,
  IpProtocol,
  LARGEST_KEPT_WHOLE,
  type Listener,
  marksOf,
  NO_MARKS,
  NO_SOCKET,
  NOT_MINE,
  type PlaceShareId,
  type ProtocolHandler,
  type Sequence,
  SharedPort,
  type SideRef,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { Beginnings } from "./beginnings.ts"
import { checkDatagram, payloadLength, SOUND } from "./check.ts"
import { ErrorRelay } from "./error-relay.ts"
import { FlowFinder } from "./flow-finder.ts"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import { Splicing } from "./local/splicing.ts"
import { Newcomers } from "./newcomers.ts"
import { PortsInUse } from "./ports-in-use.ts"
import { type UdpReasons, udpReasons } from "./reasons.ts"
import { Scarcity } from "./scarcity.ts"
import { type Source, UdpFlow, UdpFlows } from "./state.ts"
import { Takeovers } from "./takeovers.ts"
import { Timeouts, type UdpOptions } from "./timeouts.ts"
import { ToGuest } from "./to-guest.ts"
import { ToHost } from "./to-host.ts"
import { WaitingSources } from "./waiting-sources.ts"

/** UDP, set up on a stack. */
export class UdpHandler implements ProtocolHandler {
  readonly name = "udp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.udp, hasPorts: true }]
  readonly #components: Components
  readonly #timeouts: Timeouts
  readonly #reasons: UdpReasons
  readonly #states = new UdpFlows()
  readonly #errors: ErrorRelay
  readonly #toHost: ToHost
  readonly #toGuest: ToGuest
  readonly #ports: PortsInUse
  readonly #beginnings: Beginnings
  readonly #takeovers: Takeovers
  /** Absent where there is no local path. */
  readonly #splicing: Splicing | undefined
  readonly #waiting: WaitingSources<Source>
  readonly #scarcity: Scarcity
  readonly #goingOn: GoingOn
  readonly #tap = new Demiflow()

  constructor(components: Components, options: UdpOptions = {}) {
    const reasons = udpReasons(components.drops)
    const finder = new FlowFinder(components, (flow) => this.#find(flow))
    const errors = new ErrorRelay(components, reasons, finder)
    const waiting = new WaitingSources<Source>(components, (source) => this.#drain(source))
    const ports = new PortsInUse(components, (flow) => this.abort(flow))
    const scarcity = new Scarcity(components, reasons, ports, (flow) => this.abort(flow))
    const timeouts = new Timeouts(options)
    const parts = { components, reasons, states: this.#states, ports, errors, scarcity, timeouts, waiting }
    this.#components = components
    this.#timeouts = timeouts
    this.#reasons = reasons
    this.#errors = errors
    this.#ports = ports
    this.#waiting = waiting
    this.#scarcity = scarcity
    this.#goingOn = new GoingOn(components)
    this.#toHost = new ToHost(components, reasons, errors)
    this.#beginnings = new Beginnings(parts)
    this.#takeovers = new Takeovers({
      components,
      ports,
      beginnings: this.#beginnings,
      empty: (port) => this.#empty(port),
      endFlow: (flow) => this.abort(flow),
    })
    const splicing = components.localPath === undefined ? undefined : new Splicing(parts)
    const newcomers = new Newcomers(components, reasons, this.#beginnings, splicing)
    this.#splicing = splicing
    this.#toGuest = new ToGuest({ ...parts, finder, newcomers, splicing })
  }

  fromTap(sequence: Sequence): Disposition {
    const { arena, drops, flows } = this.#components
    const tap = sequence.demiflow
    if (tap.forwardingPort === 0) return this.#reasons.portZero
    const side = flows.lookup(IpProtocol.udp, tap)
    let flow = side < 0 ? undefined : this.#states.get(flowOf(side))
    if (side >= 0 && flow === undefined) return NOT_MINE
    if (flow !== undefined && isOrphan(flow)) {
      this.abort(flow.flow)
      flow = undefined
    }
    const isKnown = flow !== undefined
    let isHeard = false
    for (let index = 0; index < sequence.count; index++) {
      const verdict = checkDatagram(arena, sequence, index, this.#reasons)
      if (verdict !== SOUND) {
        drops.count(verdict)
        continue
      }
      const offset = sequence.transportOffset[index] + UDP_HEADER_LENGTH
      const length = payloadLength(arena, sequence, index)
      if (flow === undefined) {
        flow = this.#beginnings.fromGuest(tap, offset, length, sequence.count - index)
        if (flow === undefined) return HANDLED
      }
      this.#toHost.add(
        flow,
        tap,
        offset,
        length,
        sequence.segmentSize[index],
        marksOf(sequence, index, flow.port?.marksOf(flow.isHostV4) ?? NO_MARKS, LARGEST_KEPT_WHOLE),
      )
      isHeard = true
    }
    if (flow === undefined || !isHeard) return HANDLED
    // What the host has no way for takes no room.
    if (this.#toHost.flush(flow, tap) || isKnown) this.#beginnings.heardGuest(flow)
    else this.abort(flow.flow)
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const flow = this.#find(flowOf(side))
    if (flow === undefined) return
    const port = flow instanceof UdpFlow && side === flow.portSide ? flow.port : undefined
    const spliced = port === undefined ? this.#splicing?.sideOf(side) : undefined
    if ((events & HostEvent.error) !== 0) {
      if (port !== undefined) this.#errors.drainPort(port)
      else if (spliced !== undefined) this.#splicing?.drainErrors(spliced)
    }
    // That a send buffer has room again concerns nobody: what it had no room for is gone.
    if ((events & ~HostEvent.writable) !== 0) this.#drain(port ?? spliced)
  }

  fromGuestError(side: SideRef, { mtu }: Readonly<GuestError>): boolean {
    const flow = this.#states.get(flowOf(side))
    if (flow === undefined || mtu === 0) return false
    // Nothing was sent that could be too big, or it may be fragmented on its way.
    if (!flow.beganOnHost && !flow.hasReply) return false
    this.#components.flows.readSide(side, this.#tap)
    return !this.#tap.isV4
  }

  listen(listener: Listener): number {
    const port = this.#takeovers.listen(listener)
    if (typeof port === "number") return port
    listener.socket = port.socket
    return 0
  }

  unlisten(listener: Listener): void {
    listener.socket = NO_SOCKET
    const port = this.#ports.listening.get(listener.ref)
    if (port === undefined) return
    // A port that flows keep open can be bound by no other program, and refuses nothing.
    this.#ports.retire(port)
  }

  fromListener(listener: Listener, events: number): void {
    const port = this.#ports.listening.get(listener.ref)
    if (port === undefined) return
    if ((events & HostEvent.error) !== 0) this.#errors.drainPort(port)
    if ((events & ~HostEvent.writable) !== 0) this.#drain(port)
  }

  portsInUse(place: InterfaceId): number[] {
    return place === Interface.host ? Array.from(this.#ports.guest.open, ({ number }) => number) : []
  }

  tick(): void {
    this.#waiting.tick()
  }

  resume(): void {
    this.#waiting.resume()
  }

  start(): void {
    // What has waited for a guest that is gone has not heard that another one takes frames.
    this.#waiting.resume()
  }

  expire(index: FlowIndex, now: number): void {
    const flow = this.#find(index)
    if (flow === undefined) return
    const deadline = flow.lastActivity + this.#timeouts.of(flow)
    if (deadline > now && !isOrphan(flow) && this.#isAllowed(flow)) this.#components.flows.schedule(index, deadline)
    else this.abort(index)
  }

  giveWay(): boolean {
    return this.#scarcity.giveWay()
  }

  givePlace(share: PlaceShareId): boolean {
    return this.#scarcity.givePlace(share)
  }

  abort(index: FlowIndex): void {
    const flow = this.#states.get(index)
    if (flow !== undefined) this.#beginnings.end(flow)
    const spliced = this.#splicing?.get(index)
    if (spliced !== undefined) this.#splicing?.end(spliced)
  }

  #find(index: FlowIndex): UdpFlow | SplicedFlow | undefined {
    return this.#states.get(index) ?? this.#splicing?.get(index)
  }

  #isAllowed(flow: UdpFlow | SplicedFlow): boolean {
    if (!(flow instanceof UdpFlow) || flow.beganOnHost) return true
    return this.#goingOn.isAllowed(IpProtocol.udp, flow.tapSide)
  }

  /** Passes on what a port's socket holds, errors as well, outside of a turn. */
  #empty(port: SharedPort): void {
    this.#errors.drainPort(port)
    this.#toGuest.drain(port)
    this.#components.guest.flush()
  }

  #drain(source: Source | undefined): void {
    if (source === undefined || source.socket < 0) return
    if (source instanceof SharedPort) this.#toGuest.drain(source)
    else if (isOrphan(source.flow)) this.abort(source.flow.flow)
    else this.#splicing?.relay.drain(source)
  }
}

/** True for a flow whose port was closed before it: it ends in a turn to come. */
function isOrphan(flow: UdpFlow | SplicedFlow): boolean {
  const port = flow instanceof UdpFlow ? flow.port : flow.initiating.port
  return port !== undefined && port.socket < 0
}
