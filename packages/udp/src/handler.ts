/**
 * UDP between the guest and the host: theory of operation.
 *
 * A flow is what one address and port of the guest's exchanges with one address and port beyond us. The first datagram from
 * the guest starts it: the forwarding policy says where it goes, and the flow gets a host socket of its own, connected to
 * that correspondent, so that the kernel hears nobody else and reports errors (ICMP) about exactly this flow. Flows are
 * found by their tap side; the host side is found by its socket. Neither end says when it is done, so flows end by
 * time: 30 s after the last datagram if nothing ever came back, 180 s otherwise (`timeouts.ts`). Traffic only notes the
 * time; the timer looks at the note when it runs out and starts again if there was any.
 *
 * The socket takes the guest's own port where that is free on the host, as the policy asks: some correspondents expect a
 * well-known source port. Otherwise the kernel chooses one.
 *
 * From the guest (`to-host.ts`): the packets of a sequence are checked (`check.ts`) and sent by one call for all of them.
 * Neighbours of one size are put together for the host to cut, and what the guest's offload left together stays so
 * (`leaving-together.ts` says why). The hop limit of each packet is that of the datagram which leaves the host, so that
 * tracing a route through us works. A full send queue loses datagrams, as any network does, and counts them.
 *
 * From the host (`to-guest.ts`): datagrams are received straight behind room for the headers they get. What the host
 * left together stays so, and neighbours of one size are put together if the link cuts them. Each flow has a budget for
 * each turn.
 *
 * Errors (`error-relay.ts`): what routers or the correspondent reported to the host's kernel comes from the socket's
 * error queue and goes to the guest as the same ICMP error, quoting the guest's datagram with the guest's addresses. What
 * the host itself refuses (no route, say) becomes an error in the name of the address that the guest wrote to.
 *
 * Not done: multicast and broadcast (the policy refuses them, as a connected socket has one correspondent), type of service, and
 * the guest's "don't fragment" bit: the host discovers the path MTU by itself and fragments. Flows that begin on the
 * host.
 *
 * RFC 768; RFC 1122, section 4.1; RFC 8200, section 8.1; RFC 4787 for the treatment of flows.
 */
import {
  type Claim,
  type Components,
  Demiflow,
  type Disposition,
  type DropReason,
  Errno,
  type FlowIndex,
  FORWARD,
  flowOf,
  HANDLED,
  HostEvent,
  type InitiatedFlow,
  IpProtocol,
  initiatingSide,
  NOT_MINE,
  type ProtocolHandler,
  type Sequence,
  type SideRef,
  targetSide,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { checkDatagram, payloadLength, SOUND } from "./check.ts"
import { ErrorRelay } from "./error-relay.ts"
import { type UdpReasons, udpReasons } from "./reasons.ts"
import { type UdpFlow, UdpFlows } from "./state.ts"
import { DEFAULT_TIMEOUT_AFTER_REPLY, DEFAULT_TIMEOUT_BEFORE_REPLY, type UdpOptions } from "./timeouts.ts"
import { ToGuest } from "./to-guest.ts"
import { ToHost } from "./to-host.ts"

/** Milliseconds between two warnings that there are no more sockets. */
const WARNING_INTERVAL = 60_000

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
  readonly #target = new Demiflow()
  #nextWarning = 0

  constructor(components: Components, options: UdpOptions = {}) {
    this.#components = components
    this.#timeoutBeforeReply = options.timeoutBeforeReply ?? DEFAULT_TIMEOUT_BEFORE_REPLY
    this.#timeoutAfterReply = options.timeoutAfterReply ?? DEFAULT_TIMEOUT_AFTER_REPLY
    this.#reasons = udpReasons(components.drops)
    this.#errors = new ErrorRelay(components, this.#reasons)
    this.#toHost = new ToHost(components, this.#reasons, this.#errors)
    this.#toGuest = new ToGuest(components, this.#reasons, this.#errors)
  }

  fromTap(sequence: Sequence): Disposition {
    const { arena, clock, drops, flows } = this.#components
    const tap = sequence.demiflow
    if (tap.forwardingPort === 0) return this.#reasons.portZero
    const side = flows.lookup(IpProtocol.udp, tap)
    let flow = side < 0 ? undefined : this.#states.get(flowOf(side))
    if (side >= 0 && flow === undefined) return NOT_MINE
    for (let index = 0; index < sequence.count; index++) {
      const verdict = checkDatagram(arena, sequence, index, this.#reasons)
      if (verdict !== SOUND) {
        drops.count(verdict)
        continue
      }
      const offset = sequence.transportOffset[index] + UDP_HEADER_LENGTH
      const length = payloadLength(arena, sequence, index)
      if (flow === undefined) {
        flow = this.#open(tap, offset, length, sequence.count - index)
        if (flow === undefined) return HANDLED
      }
      this.#toHost.add(flow, tap, offset, length, sequence.segmentSize[index], sequence.hopLimit[index])
    }
    if (flow === undefined) return HANDLED
    this.#toHost.flush(flow, tap)
    flow.lastActivity = clock.now
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const flow = this.#states.get(flowOf(side))
    if (flow === undefined) return
    if ((events & HostEvent.error) !== 0) this.#errors.drain(flow)
    // That a send buffer has room again concerns nobody: what it had no room for is gone.
    if ((events & ~HostEvent.writable) !== 0) this.#toGuest.drain(flow)
  }

  tick(): void {
    this.#toGuest.resume()
  }

  expire(index: FlowIndex, now: number): void {
    const flow = this.#states.get(index)
    if (flow === undefined) return
    const deadline = flow.lastActivity + (flow.hasReply ? this.#timeoutAfterReply : this.#timeoutBeforeReply)
    if (deadline > now) this.#components.flows.schedule(index, deadline)
    else this.abort(index)
  }

  abort(index: FlowIndex): void {
    const flow = this.#states.get(index)
    if (flow === undefined) return
    const { flows, host, log } = this.#components
    if (log.isDebug) log.debug(`flow ${index} (udp) ended`)
    host.close(flow.socket)
    this.#states.remove(flow)
    flows.release(index)
  }

  /**
   * Starts a flow for `count` packets that the guest sent, the first of which has its payload at `offset`. If there can
   * be none, they are counted as dropped, and the guest is told where ICMP has words for it.
   */
  #open(tap: Demiflow, offset: number, length: number, count: number): UdpFlow | undefined {
    const { clock, drops, flows, forwarding, handlerNumber, host } = this.#components
    const verdict = forwarding.target(IpProtocol.udp, tap, this.#target)
    if (verdict !== FORWARD) {
      drops.count(verdict, count)
      return undefined
    }
    const place = flows.allocate(handlerNumber, IpProtocol.udp)
    if (place < 0) {
      drops.count(this.#reasons.tableFull, count - 1)
      return undefined
    }
    const initiated = flows.initiate(place, tap)
    let socket = host.udpOpen(targetSide(initiated), this.#target)
    if ((socket === -Errno.EADDRINUSE || socket === -Errno.EACCES) && this.#target.forwardingPort !== 0) {
      this.#target.forwardingPort = 0
      socket = host.udpOpen(targetSide(initiated), this.#target)
    }
    if (socket < 0) {
      if (isShortage(-socket)) {
        this.#warnOfShortage()
        return this.#giveUp(initiated, this.#reasons.noSocket, count)
      }
      this.#errors.refuse(tap, -socket, offset, length)
      return this.#giveUp(initiated, this.#reasons.openFailed, count)
    }
    const flow = flows.activate(flows.target(initiated, this.#target))
    flows.schedule(flow, clock.now + this.#timeoutBeforeReply)
    const state = this.#states.add(initiatingSide(flow), socket, this.#target.isV4, clock.now)
    this.#logStart(flow, tap)
    return state
  }

  #giveUp(flow: InitiatedFlow, reason: DropReason, count: number): undefined {
    this.#components.flows.cancel(flow)
    this.#components.drops.count(reason, count)
  }

  #warnOfShortage(): void {
    const { clock, log } = this.#components
    if (clock.now < this.#nextWarning) return
    this.#nextWarning = clock.now + WARNING_INTERVAL
    log.warning("udp: no sockets left for new flows: raise the limit of open files (ulimit -n)")
  }

  #logStart(flow: FlowIndex, tap: Demiflow): void {
    const { log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow} (udp) ${tap} ⇄ ${this.#target}`)
  }
}

function isShortage(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE || errno === Errno.ENOMEM || errno === Errno.ENOBUFS
}
