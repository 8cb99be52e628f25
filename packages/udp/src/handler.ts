/**
 * UDP between the guest and the host: theory of operation.
 *
 * A flow is what one address and port of the guest's exchanges with one address and port beyond us. It has a host socket
 * of its own, connected to the correspondent there, so that the kernel hears nobody else and reports errors (ICMP) about
 * exactly this flow. Flows are found by their tap side; the host side is found by its socket. Neither end says when it
 * is done, so flows end by time: 30 s after the last datagram if the side that didn't begin never said anything, 180 s
 * otherwise (`timeouts.ts`). Traffic only notes the time; the timer looks at the note when it runs out and starts again
 * if some had come.
 *
 * Flows begin (`beginnings.ts`) with the first datagram,
 *
 * - of the guest: the forwarding policy says where it goes. The socket takes the guest's own port where that is free on the
 *   host, as the policy asks: some correspondents expect a well-known source port. If it isn't free because a listener has
 *   it that leads to just there, the socket shares it. Otherwise the kernel chooses a port.
 * - of anybody on the host, at a listening socket (`from-anyone.ts`). The policy says where at the guest it goes, and the
 *   flow gets a socket that shares the listener's port and is connected to the sender: from then on the kernel prefers it,
 *   and the flow is like any other, from the guest's answers to the errors about them. When it ends, the listener hears
 *   the sender again. Such a flow is found by its host side too, as what had come before is still in the listener's queue.
 *   Between being bound and being connected a new socket hears everybody: until it was empty once, it is read like
 *   the listening one, by sender.
 *
 * Where the policy says so, a flow that begins at a listening socket goes to a socket at the other end of the local path
 * instead of the tap: from the host into the guest's namespace, or from a listener in there to the host. Such spliced flows
 * have two sockets and no packets, and are `local/`'s: `local/splicing.ts` says how they go. What follows here is about flows
 * between host and tap; time-outs and limits are the same for both.
 *
 * Two senders may look the same to the guest: they came to two ports that lead to one, or one address stands for both. The
 * later one is shown under another port then, as netfilter does it. Anybody can forge senders, and each takes a
 * socket: flows that their target hasn't answered give way, oldest first, at a limit or when there are no sockets left
 * (`scarcity.ts`, `unanswered-flows.ts`).
 *
 * From the guest (`to-host.ts`): the packets of a sequence are checked (`check.ts`) and sent by one call for all of them.
 * Neighbours of one size are put together for the host to cut, what the guest's offload left together with more of that
 * size too (`leaving-together.ts` says why). Hop limit, traffic class and "don't fragment" of each packet are those of the datagram
 * which leaves the host, so that tracing a route and the search for the path's MTU (RFC 8899) work through us, and DSCP and ECN are
 * kept. A full send queue loses datagrams, as networks do, and counts them.
 *
 * From the host (`to-guest.ts`): datagrams are received straight behind room for the headers they get, and keep their traffic class. What the host
 * left together stays so, and neighbours of one size, together or not, are put together if the link cuts them. Each socket has a budget for
 * each turn, and none is read while the guest is congested: what has more waits in one list, and has its turn in that
 * order (`waiting-sources.ts`).
 *
 * Errors (`error-relay.ts`): what routers or the correspondent reported to the host's kernel comes from the socket's
 * error queue and goes to the guest as the same ICMP error, quoting the guest's datagram with the guest's addresses. What
 * the host itself refuses (no route, say) becomes an error in the name of the address that the guest wrote to. What the
 * guest reports (that nobody listens at its port, say) goes no further: a socket can't tell it to a correspondent.
 *
 * To a multicast group a flow leads as to any correspondent, but that nobody answers in a group's name. The host's kernel hands
 * what is sent there to its own sockets as well: at a listening port it is not taken for somebody else's (`group-senders.ts`).
 *
 * Not done: broadcast (the policy refuses it), and answers to what was sent to a group, as a connected socket has one correspondent.
 *
 * RFC 768; RFC 1122, section 4.1; RFC 8200, section 8.1; RFC 4787 for the treatment of flows.
 */
import {
  type Claim,
  type Components,
  type Disposition,
  Errno,
  type FlowIndex,
  flowOf,
  HANDLED,
  HostEvent,
  hostAt,
  IpProtocol,
  type Listener,
  marksOf,
  NO_SOCKET,
  NOT_MINE,
  type ProtocolHandler,
  type Sequence,
  type SideRef,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { Beginnings } from "./beginnings.ts"
import { checkDatagram, payloadLength, SOUND } from "./check.ts"
import { ErrorRelay } from "./error-relay.ts"
import { FromAnyone } from "./from-anyone.ts"
import { ListeningPort, ListeningPorts } from "./listening-ports.ts"
import { Splicing } from "./local/splicing.ts"
import { type UdpReasons, udpReasons } from "./reasons.ts"
import { Scarcity } from "./scarcity.ts"
import { type Source, UdpFlow, UdpFlows } from "./state.ts"
import { DEFAULT_TIMEOUT_AFTER_REPLY, DEFAULT_TIMEOUT_BEFORE_REPLY, type UdpOptions } from "./timeouts.ts"
import { ToGuest } from "./to-guest.ts"
import { ToHost } from "./to-host.ts"
import { WaitingSources } from "./waiting-sources.ts"

/** UDP, set up on a stack. */
export class UdpHandler implements ProtocolHandler {
  readonly name = "udp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.udp, hasPorts: true }]
  readonly #components: Components
  readonly #timeoutBeforeReply: number
  readonly #timeoutAfterReply: number
  readonly #reasons: UdpReasons
  readonly #states = new UdpFlows()
  readonly #errors: ErrorRelay
  readonly #toHost: ToHost
  readonly #toGuest: ToGuest
  readonly #ports = new ListeningPorts()
  readonly #beginnings: Beginnings
  readonly #fromAnyone: FromAnyone
  /** Absent where there is no local path. */
  readonly #splicing: Splicing | undefined
  readonly #waiting: WaitingSources<Source>

  constructor(components: Components, options: UdpOptions = {}) {
    const states = this.#states
    const reasons = udpReasons(components.drops)
    const errors = new ErrorRelay(components, reasons)
    const waiting = new WaitingSources<Source>(components, (source) => this.#drain(source))
    const scarcity = new Scarcity(components, reasons, (flow) => this.abort(flow))
    this.#components = components
    this.#timeoutBeforeReply = options.timeoutBeforeReply ?? DEFAULT_TIMEOUT_BEFORE_REPLY
    this.#timeoutAfterReply = options.timeoutAfterReply ?? DEFAULT_TIMEOUT_AFTER_REPLY
    this.#reasons = reasons
    this.#errors = errors
    this.#waiting = waiting
    this.#toHost = new ToHost(components, reasons, errors)
    this.#toGuest = new ToGuest(components, reasons, errors, waiting)
    const timeout = this.#timeoutBeforeReply
    this.#beginnings = new Beginnings(components, reasons, states, this.#ports, errors, scarcity, waiting, timeout)
    if (components.localPath !== undefined) {
      this.#splicing = new Splicing(components, reasons, scarcity, waiting, timeout)
    }
    this.#fromAnyone = new FromAnyone(
      components,
      reasons,
      states,
      this.#beginnings,
      this.#toGuest,
      this.#splicing,
      waiting,
    )
  }

  fromTap(sequence: Sequence): Disposition {
    const { arena, drops, flows } = this.#components
    const tap = sequence.demiflow
    if (tap.forwardingPort === 0) return this.#reasons.portZero
    const side = flows.lookup(IpProtocol.udp, tap)
    let flow = side < 0 ? undefined : this.#states.get(flowOf(side))
    if (side >= 0 && flow === undefined) return NOT_MINE
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
      this.#toHost.add(flow, tap, offset, length, sequence.segmentSize[index], marksOf(sequence, index, flow.marks))
      isHeard = true
    }
    if (flow === undefined || !isHeard) return HANDLED
    this.#toHost.flush(flow, tap)
    this.#beginnings.heardGuest(flow)
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const source = this.#states.get(flowOf(side)) ?? this.#splicing?.sideOf(side)
    if (source === undefined) return
    if ((events & HostEvent.error) !== 0) {
      if (source instanceof UdpFlow) this.#errors.drain(source)
      else this.#splicing?.drainErrors(source)
    }
    // That a send buffer has room again concerns nobody: what it had no room for is gone.
    if ((events & ~HostEvent.writable) !== 0) this.#drain(source)
  }

  listen(listener: Listener): number {
    const host = hostAt(this.#components, listener.interface)
    if (host === undefined) return -Errno.EPROTONOSUPPORT
    const socket = host.udpListen(listener.ref, listener.end)
    if (socket < 0) return socket
    listener.socket = socket
    this.#ports.add(listener, host)
    return 0
  }

  unlisten(listener: Listener): void {
    hostAt(this.#components, listener.interface)?.close(listener.socket)
    listener.socket = NO_SOCKET
    this.#ports.remove(listener)
  }

  fromListener(listener: Listener): void {
    const port = this.#ports.get(listener.ref)
    if (port !== undefined) this.#drain(port)
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
    const flow = this.#states.get(index) ?? this.#splicing?.get(index)
    if (flow === undefined) return
    const deadline = flow.lastActivity + (flow.hasReply ? this.#timeoutAfterReply : this.#timeoutBeforeReply)
    if (deadline > now) this.#components.flows.schedule(index, deadline)
    else this.abort(index)
  }

  abort(index: FlowIndex): void {
    const flow = this.#states.get(index)
    if (flow !== undefined) this.#beginnings.end(flow)
    const spliced = this.#splicing?.get(index)
    if (spliced !== undefined) this.#splicing?.end(spliced)
  }

  #drain(source: Source): void {
    if (source instanceof ListeningPort || source.sharedWith !== undefined) this.#fromAnyone.drain(source)
    else if (source.socket < 0) return
    else if (source instanceof UdpFlow) this.#toGuest.drain(source)
    else this.#splicing?.relay.drain(source)
  }
}
