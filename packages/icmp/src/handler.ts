/**
 * ICMP echo between the guest and the host: theory of operation.
 *
 * A flow is what one address of the guest's sends under one identifier to one address beyond us. There are no ports: the
 * identifier stands for both ports of the tap side. All flows of one identifier and one address of the guest's share a ping
 * socket on the host (Linux: icmp(7)), the one way to send echo requests without privileges: every correspondent sees the
 * same identifier (`identifiers.ts`; RFC 5508, REQ-1 (a)). It is the guest's own where that is free. Where another program has
 * it, or another address of the guest's that came first, it is one of the host's choice, for all correspondents. The versions of
 * IP have identifiers of their own. Replies get the guest's identifier back. Sequence numbers and payload pass as they are, in
 * both directions.
 *
 * Requests are sent from where they arrived; the host fills in identifier and checksum. Replies are received straight
 * behind room for the IP header (`to-guest.ts`), and belong to the flow with the address that they come from. Hop limit, traffic
 * class and "don't fragment" of each request are those of the packet which leaves the host. What routers report comes from the
 * socket's error queue and goes to the guest as the same error, quoting its own request (`error-relay.ts`): so
 * `traceroute -I`, `ping -t` and `ping -M do` work through us. The address that the request went to says whose error that is;
 * one that quotes a request to anybody else changes nothing (RFC 5508, REQ-4). A reply keeps its traffic class.
 *
 * A flow ends 60 s after its last message (RFC 5508, REQ-2). The one with the oldest request gives way before that at a limit, or
 * where the flow table is full for pings; where sockets are scarce, the identifier does under which no request has come for the
 * longest time, with all of its flows. To other protocols they do once they have rested for a second (core's `FAIR_TIME`), but a
 * place not to what begins outside.
 *
 * Where the host forbids ping sockets (sysctl `net.ipv4.ping_group_range`), that is said once, at start, and echo requests
 * are counted as dropped. The permission may come later: it is asked for again by requests, once a second at most.
 *
 * Echo requests to groups that we are in ourselves are answered here (`group-echo.ts`). Other IP protocols, which aren't
 * carried at all, are refused by a handler of its own (`refusal.ts`).
 *
 * Neighbour and listener discovery are ICMPv6 as well, but speak of the link: they are left to other handlers. Errors from
 * the guest's side about what it was sent go to the protocol of the flow in question (`guest-errors.ts`): "too big" about a
 * reply over IPv6 has those that follow fragmented. Other errors are counted and go no further, as ordinary sockets can't report
 * them to a correspondent; so does every other message: timestamps, redirects, node information.
 *
 * RFC 792; RFC 4443, section 4; RFC 5508 for the treatment of flows.
 */
import {
  type Claim,
  type Components,
  DatagramBatch,
  Demiflow,
  type Disposition,
  type DropReason,
  Errno,
  FAIR_TIME,
  type FlowIndex,
  FORWARD,
  flowOf,
  GoingOn,
  type GuestError,
  type GuestPort,
  HANDLED,
  HostEvent,
  ICMP_IDENTIFIER,
  ICMP_SEQUENCE,
  type InitiatedFlow,
  Interface,
  IpProtocol,
  initiatingSide,
  isShortage,
  LOOPBACK_V4,
  LOOPBACK_V6,
  type MayGiveWay,
  marksOf,
  NO_SIDE,
  NOT_MINE,
  PlaceShare,
  type PlaceShareId,
  type ProtocolHandler,
  SendingErrors,
  type Sequence,
  type SideRef,
  takePlace,
  targetSide,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
  UseList,
} from "@demiflow/core"
import { checkEchoRequest, isAboutTheLink, SOUND } from "./check.ts"
import { ErrorRelay } from "./error-relay.ts"
import { GroupEcho } from "./group-echo.ts"
import { GuestErrors } from "./guest-errors.ts"
import { Identifiers } from "./identifiers.ts"
import { DEFAULT_TIMEOUT, type IcmpOptions } from "./options.ts"
import { type IcmpReasons, icmpReasons } from "./reasons.ts"
import { type EchoFlow, EchoFlows } from "./state.ts"
import { ToGuest } from "./to-guest.ts"

/** Milliseconds between two warnings that there are no more sockets. */
const WARNING_INTERVAL = 60_000

/**
 * Echo flows that a guest has at most, or a quarter of the flow table if that is less. At the limit the one with the oldest request
 * gives way: it is answered by then, or never, and another request begins it anew.
 */
const MOST_FLOWS = 4096

/** Milliseconds between two questions whether ping sockets are allowed by now. */
const PERMISSION_INTERVAL = 1_000

/** ICMP and ICMPv6 echo, set up on a stack. */
export class IcmpHandler implements ProtocolHandler {
  readonly name = "icmp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.icmp }, { ipProtocol: IpProtocol.icmpv6 }]
  readonly #components: Components
  readonly #timeout: number
  readonly #reasons: IcmpReasons
  readonly #states = new EchoFlows()
  /** In the order of their last requests. */
  readonly #byUse = new UseList<MayGiveWay>()
  readonly #mostFlows: number
  readonly #identifiers: Identifiers
  readonly #errors: ErrorRelay
  readonly #guestErrors: GuestErrors
  readonly #toGuest: ToGuest
  readonly #groups: GroupEcho
  readonly #batch = new DatagramBatch(1)
  readonly #goingOn: GoingOn
  readonly #sendingErrors = new SendingErrors()
  readonly #tap = new Demiflow(Interface.tap)
  readonly #target = new Demiflow()
  readonly #endOldest = (): boolean => {
    const { oldest } = this.#byUse
    if (oldest !== undefined) this.abort(oldest.flow)
    return oldest !== undefined
  }
  #isForbiddenV4 = false
  #isForbiddenV6 = false
  #nextPermission = 0
  #nextWarning = 0

  constructor(components: Components, options: IcmpOptions = {}) {
    this.#components = components
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT
    this.#mostFlows = Math.max(1, Math.min(MOST_FLOWS, components.flows.capacity >> 2))
    this.#reasons = icmpReasons(components.drops)
    this.#identifiers = new Identifiers(components, this.#states, (flow) => this.abort(flow))
    this.#errors = new ErrorRelay(components, this.#reasons, this.#identifiers)
    this.#goingOn = new GoingOn(components)
    this.#guestErrors = new GuestErrors(components)
    this.#toGuest = new ToGuest(components, this.#reasons, this.#errors, this.#identifiers)
    this.#groups = new GroupEcho(components.arena, components.guest, options.ourAddresses ?? [])
  }

  start(): void {
    this.#askPermission()
    if (!this.#isForbiddenV4 && !this.#isForbiddenV6) return
    this.#components.log.warning(
      "icmp: this host forbids ping sockets, so that pings won't be answered: allow them with " +
        "sysctl net.ipv4.ping_group_range",
    )
  }

  fromTap(sequence: Sequence): Disposition {
    const { arena, drops } = this.#components
    if (isAboutTheLink(arena, sequence)) return NOT_MINE
    this.#tap.copyFrom(sequence.demiflow)
    for (let index = 0; index < sequence.count; index++) {
      const verdict = checkEchoRequest(arena, sequence, index, this.#reasons)
      if (verdict === this.#reasons.errorFromGuest && this.#guestErrors.take(sequence, index)) continue
      if (verdict !== SOUND) drops.count(verdict)
      else if (!this.#groups.answers(sequence, index)) this.#forward(sequence, index)
    }
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const port = this.#states.get(flowOf(side))?.port
    if (port === undefined) return
    if ((events & HostEvent.error) !== 0) this.#errors.drainPort(port)
    // That a send buffer has room again concerns nobody: what it had no room for is gone.
    if ((events & ~HostEvent.writable) !== 0) this.#toGuest.drain(port)
  }

  fromGuestError(side: SideRef, { mtu }: Readonly<GuestError>): boolean {
    this.#components.flows.readSide(side, this.#tap)
    // What we send over IPv4 may be fragmented on its way.
    return mtu > 0 && !this.#tap.isV4
  }

  tick(): void {
    this.#toGuest.carryOn()
  }

  resume(): void {
    this.#toGuest.carryOn()
  }

  expire(index: FlowIndex, now: number): void {
    const flow = this.#states.get(index)
    if (flow === undefined) return
    const deadline = flow.lastActivity + this.#timeout
    if (deadline > now && !isOrphan(flow) && this.#isAllowed(flow)) this.#components.flows.schedule(index, deadline)
    else this.abort(index)
  }

  abort(index: FlowIndex): void {
    const flow = this.#states.get(index)
    if (flow === undefined) return
    const { flows, log } = this.#components
    if (log.isDebug) log.debug(`flow ${index} (icmp) ended`)
    const { port } = flow
    flow.port = undefined
    if (port !== undefined) this.#identifiers.leave(port, flow)
    this.#byUse.remove(flow)
    this.#states.remove(flow)
    flows.release(index)
  }

  giveWay(): boolean {
    return this.#identifiers.giveWay(this.#components.clock.now - FAIR_TIME)
  }

  givePlace(share: PlaceShareId): boolean {
    const { oldest } = this.#byUse
    // A ping may have been answered, so it is the guest's to keep.
    if (share === PlaceShare.fromOutside || oldest === undefined) return false
    if (oldest.lastActivity > this.#components.clock.now - FAIR_TIME) return false
    this.abort(oldest.flow)
    return true
  }

  #askPermission(): void {
    this.#nextPermission = this.#components.clock.now + PERMISSION_INTERVAL
    this.#isForbiddenV4 = this.#isForbidden(Demiflow.of(Interface.host, UNSPECIFIED_V4, 0, LOOPBACK_V4, 0))
    this.#isForbiddenV6 = this.#isForbidden(Demiflow.of(Interface.host, UNSPECIFIED_V6, 0, LOOPBACK_V6, 0))
  }

  /** Whether this version of IP has no ping sockets, as far as that was found out lately. */
  #isStillForbidden(isV4: boolean): boolean {
    const isForbidden = isV4 ? this.#isForbiddenV4 : this.#isForbiddenV6
    if (!isForbidden || this.#components.clock.now < this.#nextPermission) return isForbidden
    this.#askPermission()
    if (isV4 ? this.#isForbiddenV4 : this.#isForbiddenV6) return true
    this.#components.log.info("icmp: this host allows ping sockets now")
    return false
  }

  #isForbidden(demiflow: Demiflow): boolean {
    const { host } = this.#components
    const socket = host.pingBind(NO_SIDE, demiflow)
    if (socket >= 0) host.close(socket)
    return socket === -Errno.EACCES || socket === -Errno.EPERM
  }

  /** Sends an echo request on its way. */
  #forward(sequence: Sequence, index: number): void {
    const { arena, clock, drops, flows } = this.#components
    const tap = this.#tap
    const offset = sequence.transportOffset[index]
    const length = sequence.endOffset[index] - offset
    tap.forwardingPort = tap.correspondentPort = arena.view.getUint16(offset + ICMP_IDENTIFIER)
    const side = flows.lookup(sequence.protocol, tap)
    let flow = side < 0 ? undefined : this.#states.get(flowOf(side))
    const isOrphaned = flow !== undefined && isOrphan(flow)
    if (flow !== undefined && isOrphaned) this.abort(flow.flow)
    if (side < 0 || isOrphaned) flow = this.#open(sequence.protocol, offset, length)
    const port = flow?.port
    if (flow === undefined || port === undefined) {
      // A flow of this key that another protocol began.
      if (side >= 0) drops.count(this.#reasons.unsupported)
      return
    }
    flow.lastActivity = clock.now
    this.#byUse.add(flow)
    this.#identifiers.used(port, clock.now)
    flow.lastLength = length
    flow.lastSequence = arena.view.getUint16(offset + ICMP_SEQUENCE)
    const isV4 = port.address.isV4
    const batch = this.#batch
    batch.marks = marksOf(sequence, index, port.marksOf(isV4))
    port.mark(isV4, batch.marks)
    batch.offset[0] = offset
    batch.length[0] = length
    batch.segmentSize[0] = 0
    const isRefused = !this.#send(flow, port)
    // There is nothing to wait for.
    if (isRefused && side < 0) this.abort(flow.flow)
  }

  /** Sends a request; false if the host has no way for any to this correspondent. */
  #send(flow: EchoFlow, port: GuestPort): boolean {
    const { drops, flows, host } = this.#components
    const batch = this.#batch
    const target = this.#target
    const errors = this.#sendingErrors
    flows.readSide(flow.hostSide, target)
    errors.begin()
    let sent = host.sendDatagramsTo(port.socket, target, 0, batch, 0, 1)
    while (sent < 0 && !isQueueFull(-sent)) {
      if (!errors.mayBeOthers(sent, this.#errors.drainPort(port))) break
      sent = host.sendDatagramsTo(port.socket, target, 0, batch, 0, 1)
    }
    if (sent > 0) return true
    if (isQueueFull(-sent)) {
      drops.count(this.#reasons.sendQueueFull)
      return true
    }
    drops.count(this.#reasons.sendFailed)
    if (!errors.isHosts(sent)) return true
    this.#errors.refuse(this.#tap, -sent, batch.offset[0], batch.length[0])
    return sent === -Errno.EMSGSIZE
  }

  /** Starts a flow for the request at `offset`. If there can be none, that is counted, and reported to the guest if possible. */
  #open(protocol: number, offset: number, length: number): EchoFlow | undefined {
    const { clock, drops, flows, forwarding } = this.#components
    const tap = this.#tap
    const verdict = forwarding.target(protocol, tap, this.#target)
    if (verdict !== FORWARD) {
      drops.count(verdict)
      if (verdict === forwarding.prohibited) this.#errors.refuse(tap, Errno.EPERM, offset, length)
      return undefined
    }
    if (this.#isStillForbidden(this.#target.isV4)) {
      drops.count(this.#reasons.forbidden)
      return undefined
    }
    if (this.#byUse.count >= this.#mostFlows) this.#endOldest()
    const created = takePlace(this.#components, protocol, PlaceShare.exchanges, this.#endOldest)
    // A full table counts that itself.
    if (created < 0) return undefined
    const initiated = flows.initiate(created, tap)
    const port = this.#identifiers.share(targetSide(initiated), tap, this.#target)
    if (typeof port === "number") {
      if (isShortage(-port)) {
        this.#warnOfShortage()
        return this.#giveUp(initiated, this.#reasons.noSocket)
      }
      this.#errors.refuse(tap, -port, offset, length)
      return this.#giveUp(initiated, this.#reasons.openFailed)
    }
    const flow = flows.activate(flows.target(initiated, this.#target))
    flows.makeTargetFindable(flow)
    flows.schedule(flow, clock.now + this.#timeout)
    this.#logStart(flow)
    const state = this.#states.add(initiatingSide(flow), port)
    port.board(state)
    return state
  }

  #isAllowed({ port, tapSide }: EchoFlow): boolean {
    return this.#goingOn.isAllowed(port?.address.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6, tapSide)
  }

  #giveUp(flow: InitiatedFlow, reason: DropReason): undefined {
    this.#components.flows.cancel(flow)
    this.#components.drops.count(reason)
  }

  #warnOfShortage(): void {
    const { clock, log } = this.#components
    if (clock.now < this.#nextWarning) return
    this.#nextWarning = clock.now + WARNING_INTERVAL
    log.warning("icmp: no sockets left for new flows: raise the limit of open files (ulimit -n)")
  }

  #logStart(flow: FlowIndex): void {
    const { log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow} (icmp) ${this.#tap} ⇄ ${this.#target}`)
  }
}

/** True for a flow whose identifier was closed before it: it ends in a turn to come. */
function isOrphan({ port }: EchoFlow): boolean {
  return port !== undefined && port.socket < 0
}

function isQueueFull(errno: number): boolean {
  return errno === 0 || errno === Errno.EAGAIN || errno === Errno.ENOBUFS
}
