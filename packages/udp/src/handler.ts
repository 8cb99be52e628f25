/**
 * UDP between the guest and the host: theory of operation.
 *
 * A flow is the exchange of one address and port of the guest with one address and port beyond us. Flows share the
 * sockets of ports (protocol-kit's `SharedPort`). Each socket is bound, not connected, and ours alone. A datagram is
 * sent to its flow's correspondent; a received datagram's flow is found by both ends, as the kernel reports them
 * (`flow-finder.ts`). This alone gives:
 *
 * - All correspondents of a guest's port see the same port of the host: the guest's own number, where that is free
 *   (protocol-kit's `GuestPorts`; RFC 4787, REQ-1, endpoint-independent mapping). Several addresses of the guest share
 *   it, as a program in the guest mostly has one socket for all of them.
 * - An address that the guest corresponds with from a port may answer from another port, and datagrams from other
 *   addresses are dropped (`newcomers.ts`; REQ-8, address-dependent filtering). A link-local address is accepted only
 *   from the link that the flow uses (RFC 4007, section 6). Of two clients that have the same address on two links, and
 *   the same port, the second is dropped.
 * - Datagrams received by one socket stay in order, also while flows begin.
 *
 * UDP has no end of a conversation, so flows end by time-out (`timeouts.ts`). Traffic only records the time; the timer
 * reads it when it expires, and restarts if there was traffic. A guest's port is closed with its last flow.
 *
 * Flows begin (`beginnings.ts`) with the first datagram,
 *
 * - of the guest: the forwarding policy decides where it goes. It leaves by a listening port of ours if the
 *   correspondent has written to that; or if that port has the number of the guest's port, leads to exactly that port,
 *   and reaches the correspondent as other sockets of the host do (`listening-ports.ts`). So an answer leaves from
 *   where the question went to, whichever of its addresses the guest answers from. All other flows leave by a guest's
 *   port.
 * - of anybody, at a listening socket on the host: the policy decides where at the guest it goes. Listening sockets
 *   report for each datagram which address of the host it came to, and answers leave from that. The flows of a
 *   listening port end with it. Flows that had the port before we listened at it continue there (`takeovers.ts`).
 *
 * Where the policy says so, a flow that begins at a listening socket goes to a socket at the other end of the local
 * path instead of the tap: from the host into the guest's namespace, or from a listener in the namespace to the host.
 * Such spliced flows have a socket at the other end and no packets (`local/splicing.ts`, with `udpWithLocalPath`). The
 * rest of this text is about flows between host and tap; time-outs and limits are the same for both.
 *
 * Two senders may be the same to the guest: they came to two ports that lead to one, or one address stands for both.
 * The later one then gets another port towards the guest, as netfilter does it. Anybody can forge senders: at a limit,
 * flows that their target hasn't answered give way, oldest first. Where flow table entries or sockets are scarce, flows
 * and ports of the guest give way as well: those without an answer within a fair time, and of the others those used
 * longest ago (`scarcity.ts`). A port that gives way is closed at once. Its flows end one after the other, by their
 * deadlines (`ports-in-use.ts`).
 *
 * From the guest (`to-host.ts`): the packets of a sequence are checked (`check.ts`) and sent by one call for all of
 * them. Adjacent datagrams of one size are coalesced for the host to split, and datagrams that the guest's offload has
 * coalesced are coalesced further (`leaving-together.ts` says why). Hop limit, traffic class and "don't fragment" of
 * each packet are kept in the datagram that leaves the host, so that `traceroute` and path MTU discovery (RFC 8899)
 * work through us, and DSCP and ECN are kept. Datagrams for which the send queue has no room are dropped, as in any
 * network, and counted.
 *
 * From the host (`to-guest.ts`): datagrams are received right behind space for the headers they get, and keep their
 * traffic class. Datagrams that the host has coalesced stay so, and adjacent ones of one size are coalesced if the link
 * splits them. Each socket has a budget for each turn, and none is read while the guest is congested. Sockets with more
 * to deliver wait in one list, and have their turn in that order (protocol-kit's `WaitingList`).
 *
 * Errors (`error-relay.ts`): errors that routers or the correspondent reported to the host's kernel come from the
 * socket's error queue. Each belongs to the flow with the destination that it names, and goes to the guest as the same
 * ICMP error, quoting the guest's datagram with the guest's addresses. What the host itself refuses (no route, say)
 * becomes an error from the address that the guest wrote to, and so does what the policy prohibits. Errors that the
 * guest reports (that nobody listens at its port, say) go no further: a socket can't report them. A "too big" over IPv6
 * about a link behind the guest has core fragment later datagrams: `Guest.noticePathMtu`.
 *
 * A flow to a multicast group is like one to any correspondent. The group's members answer from their own addresses, so
 * the guest's port then accepts datagrams from anybody (`newcomers.ts`). The host's kernel delivers datagrams to a
 * group to its own sockets as well: ours drop the guest's own (`group-senders.ts`).
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
  type FlowTotals,
  flowOf,
  type GuestError,
  HANDLED,
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
  type SideRef,
  SocketEvent,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { GoingOn, SharedPort, totalsOf, WaitingList } from "@demiflow/protocol-kit"
import { Beginnings } from "./beginnings.ts"
import { checkDatagram, payloadLength, SOUND } from "./check.ts"
import { ErrorRelay } from "./error-relay.ts"
import { FlowFinder } from "./flow-finder.ts"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import type { Splicing, SplicingParts } from "./local/splicing.ts"
import { Newcomers } from "./newcomers.ts"
import { PortsInUse } from "./ports-in-use.ts"
import { Progress } from "./progress.ts"
import { type UdpReasons, udpReasons } from "./reasons.ts"
import { Scarcity } from "./scarcity.ts"
import { type Source, UdpFlow, UdpFlows } from "./state.ts"
import { Takeovers } from "./takeovers.ts"
import { Timeouts, type UdpOptions } from "./timeouts.ts"
import { ToGuest } from "./to-guest.ts"
import { ToHost } from "./to-host.ts"

/** Makes what handles flows of the local path. */
export type Splice = (parts: SplicingParts) => Splicing

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
  /** Undefined where there is no local path. */
  readonly #splicing: Splicing | undefined
  readonly #waiting: WaitingList<Source>
  readonly #scarcity: Scarcity
  readonly #goingOn: GoingOn
  readonly #tap = new Demiflow()

  constructor(components: Components, options: UdpOptions = {}, splice?: Splice) {
    const reasons = udpReasons(components.drops)
    const finder = new FlowFinder(components, (flow) => this.#findCarriedOn(flow))
    const errors = new ErrorRelay(components, reasons, finder)
    const waiting = new WaitingList<Source>(components, (source) => this.#drain(source))
    const ports = new PortsInUse(components, (flow) => this.#findLasting(flow))
    const scarcity = new Scarcity(components, reasons, ports, (flow) => this.abort(flow))
    const progress = new Progress(components.reports, scarcity)
    const timeouts = new Timeouts(options)
    const parts = { components, reasons, states: this.#states, ports, errors, progress, scarcity, timeouts, waiting }
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
    })
    const splicing = components.localPath && splice?.(parts)
    const newcomers = new Newcomers(components, reasons, this.#beginnings, splicing)
    this.#splicing = splicing
    this.#toGuest = new ToGuest({ ...parts, finder, newcomers, splicing })
  }

  fromGuest(sequence: Sequence): Disposition {
    const { arena, drops, flows } = this.#components
    const tap = sequence.demiflow
    if (tap.forwardingPort === 0) return this.#reasons.portZero
    const side = flows.lookup(IpProtocol.udp, tap)
    let flow = side < 0 ? undefined : this.#states.get(flowOf(side))
    if (side >= 0 && flow === undefined) return NOT_MINE
    if (flow !== undefined && !this.#lasts(flow)) flow = undefined
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
        flow = this.#beginnings.fromGuest(sequence, index, offset, length)
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
    // A new flow that the host refused takes no place.
    if (this.#toHost.flush(flow, tap) || isKnown) this.#beginnings.heardGuest(flow)
    else this.abort(flow.flow)
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const flow = this.#find(flowOf(side))
    if (flow === undefined) return
    const port = flow instanceof UdpFlow && side === flow.portSide ? flow.port : undefined
    const spliced = port === undefined ? this.#splicing?.sideOf(side) : undefined
    if ((events & SocketEvent.error) !== 0) {
      if (port !== undefined) this.#errors.drainPort(port)
      else if (spliced !== undefined) this.#splicing?.drainErrors(spliced)
    }
    // `writable` is ignored: what the send buffer had no room for was dropped.
    if ((events & ~SocketEvent.writable) !== 0) this.#drain(port ?? spliced)
  }

  fromGuestError(side: SideRef, { mtu }: Readonly<GuestError>): boolean {
    const flow = this.#states.get(flowOf(side))
    if (flow === undefined || mtu === 0) return false
    // Either we sent nothing that could be too big, or, over IPv4, a router may fragment it.
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
    // Closed at once: flows that kept the port open would keep other programs from binding it, and it would refuse
    // nothing.
    this.#ports.retire(port)
  }

  fromListener(listener: Listener, events: number): void {
    const port = this.#ports.listening.get(listener.ref)
    if (port === undefined) return
    if ((events & SocketEvent.error) !== 0) this.#errors.drainPort(port)
    if ((events & ~SocketEvent.writable) !== 0) this.#drain(port)
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
    // Sources that waited for a guest that is gone aren't notified that another one takes frames.
    this.#waiting.resume()
  }

  expire(index: FlowIndex, now: number): void {
    const flow = this.#findLasting(index)
    if (flow === undefined) return
    // RFC 4787 REQ-6 MUST: what the guest sends keeps its flow alive
    const deadline = flow.lastActivity + this.#timeouts.of(flow)
    if (deadline > now && this.#isAllowed(flow)) this.#components.flows.schedule(index, deadline)
    else this.abort(index)
  }

  giveWay(): boolean {
    return this.#scarcity.giveWay()
  }

  givePlace(share: PlaceShareId): boolean {
    return this.#scarcity.givePlace(share)
  }

  totalsOf(index: FlowIndex): FlowTotals {
    const flow = this.#find(index)
    if (flow === undefined) return {}
    return flow instanceof UdpFlow ? totalsOf(flow) : (this.#splicing?.totalsOf(flow) ?? {})
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

  /** As `#find`, but moves a flow whose port was closed to the port that replaces it. */
  #findCarriedOn(index: FlowIndex): UdpFlow | SplicedFlow | undefined {
    const flow = this.#find(index)
    if (flow instanceof UdpFlow && isOrphan(flow)) this.#takeovers.carryOn(flow)
    return flow
  }

  /** As `#find`, but ends a flow whose port was closed and not replaced. */
  #findLasting(index: FlowIndex): UdpFlow | SplicedFlow | undefined {
    const flow = this.#find(index)
    return flow !== undefined && this.#lasts(flow) ? flow : undefined
  }

  /** Moves a flow whose port was closed to the port that replaces it, or ends it and returns false. */
  #lasts(flow: UdpFlow | SplicedFlow): boolean {
    if (!isOrphan(flow) || (flow instanceof UdpFlow && this.#takeovers.carryOn(flow))) return true
    this.abort(flow.flow)
    return false
  }

  #isAllowed(flow: UdpFlow | SplicedFlow): boolean {
    if (!(flow instanceof UdpFlow) || flow.beganOnHost) return true
    return this.#goingOn.isAllowed(IpProtocol.udp, flow.tapSide)
  }

  /** Delivers what a port's socket holds, errors as well, outside of a turn. */
  #empty(port: SharedPort): void {
    this.#errors.drainPort(port)
    this.#toGuest.drain(port)
    this.#components.guest.flush()
  }

  #drain(source: Source | undefined): void {
    if (source === undefined || source.socket < 0) return
    if (source instanceof SharedPort) this.#toGuest.drain(source)
    else if (this.#lasts(source.flow)) this.#splicing?.relay.drain(source)
  }
}

/** True for a flow whose port was closed before it. */
function isOrphan(flow: UdpFlow | SplicedFlow): boolean {
  const port = flow instanceof UdpFlow ? flow.port : flow.initiating.port
  return port !== undefined && port.socket < 0
}
