/**
 * ICMP echo between the guest and the host: theory of operation.
 *
 * A flow is one address of the guest, one identifier, and one address beyond us. There are no ports: the identifier
 * stands for both ports of the tap side. All flows of one identifier and one guest address share a ping socket on the
 * host (Linux: icmp(7)), the only way to send echo requests without privileges: every correspondent sees the same
 * identifier (`identifiers.ts`; RFC 5508, REQ-1 (a)). It is the guest's own where that is free. Where another program
 * has it, or another guest address that came first, the host chooses one, for all correspondents. Each version of IP
 * has its own identifiers. Replies get the guest's identifier back. Sequence numbers and payload pass unchanged, in
 * both directions.
 *
 * Requests are sent from where they arrived in memory; the host fills in identifier and checksum. Replies are received
 * right behind space for the IP header (`to-guest.ts`), and belong to the flow with their source address. Hop limit,
 * traffic class and "don't fragment" of each request are kept in the packet that leaves the host. Errors that routers
 * report come from the socket's error queue and go to the guest as the same error, quoting its own request
 * (`echo-error-relay.ts`): so `traceroute -I`, `ping -t` and `ping -M do` work through us. The destination of the
 * request says which flow the error is for; an error that quotes a request to any other address changes nothing (RFC
 * 5508, REQ-4). A reply keeps its traffic class.
 *
 * A flow ends 60 s after its last message (RFC 5508, REQ-2). At the limit of flows, or of flow table entries for pings,
 * the flow with the oldest request ends early. Where sockets are scarce, the identifier whose last request is the
 * oldest is closed, with all of its flows. Identifiers and flows give way to other protocols once they were idle for a
 * second (protocol-kit's `FAIR_TIME`), but a flow never to one that begins outside.
 *
 * Where the host forbids ping sockets (sysctl `net.ipv4.ping_group_range`), a warning is logged once, at the start.
 * Echo requests to the host's loopback are then answered here, others are dropped and counted. The permission may come
 * later: requests check again, at most once a second.
 *
 * Echo requests to groups that we are in ourselves are answered here too (`own-echo.ts`). IP protocols that aren't
 * carried at all are refused by a separate handler (`refusal.ts`).
 *
 * Neighbour and listener discovery are ICMPv6 as well, but concern the link: they are left to other handlers. Errors
 * from the guest's side about packets sent to it go to the protocol of the flow in question (`guest-errors.ts`): after
 * a "too big" about a reply over IPv6, replies to that address are fragmented. Other errors are dropped and counted, as
 * ordinary sockets can't report them to a correspondent. So is every other message: timestamps, redirects, node
 * information.
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
  type FlowIndex,
  type FlowTotals,
  flowOf,
  type GuestError,
  HANDLED,
  ICMP_HEADER_LENGTH,
  ICMP_IDENTIFIER,
  ICMP_SEQUENCE,
  type InitiatedFlow,
  Interface,
  IpProtocol,
  initiatingSide,
  isShortage,
  LOOPBACK_V4,
  LOOPBACK_V6,
  marksOf,
  NO_SIDE,
  NOT_MINE,
  PlaceShare,
  type PlaceShareId,
  type ProtocolHandler,
  Ruling,
  type Sequence,
  type SideRef,
  SocketEvent,
  targetSide,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
  Verdict,
} from "@demiflow/core"
import {
  FAIR_TIME,
  GoingOn,
  type GuestPort,
  type MayGiveWay,
  SendingErrors,
  ShortageWarning,
  takePlace,
  totalsOf,
  UseList,
} from "@demiflow/protocol-kit"
import { checkEchoRequest, isAboutTheLink, SOUND } from "./check.ts"
import { EchoErrorRelay } from "./echo-error-relay.ts"
import { GuestErrors } from "./guest-errors.ts"
import { Identifiers } from "./identifiers.ts"
import { DEFAULT_TIMEOUT, type IcmpOptions } from "./options.ts"
import { OwnEcho } from "./own-echo.ts"
import { type IcmpReasons, icmpReasons } from "./reasons.ts"
import { type EchoFlow, EchoFlows } from "./state.ts"
import { ToGuest } from "./to-guest.ts"

/**
 * Maximum number of echo flows of a guest, or a quarter of the flow table if that is less. At the limit, the flow with
 * the oldest request ends: that request is answered by then, or never, and another one starts the flow anew.
 */
const MOST_FLOWS = 4096

/** Milliseconds between two checks whether ping sockets are allowed. */
const PERMISSION_INTERVAL = 1_000

/** ICMP and ICMPv6 echo, set up on a stack. */
export class IcmpHandler implements ProtocolHandler {
  readonly name = "icmp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.icmp }, { ipProtocol: IpProtocol.icmpv6 }]
  readonly #components: Components
  readonly #timeout: number
  readonly #reasons: IcmpReasons
  readonly #states = new EchoFlows()
  /** Flows, in the order of their last requests. */
  readonly #byUse = new UseList<MayGiveWay>()
  readonly #mostFlows: number
  readonly #identifiers: Identifiers
  readonly #errors: EchoErrorRelay
  readonly #guestErrors: GuestErrors
  readonly #toGuest: ToGuest
  readonly #ownEcho: OwnEcho
  readonly #batch = new DatagramBatch(1)
  readonly #goingOn: GoingOn
  readonly #warning: ShortageWarning
  readonly #sendingErrors = new SendingErrors()
  readonly #tap = new Demiflow(Interface.tap)
  readonly #ruling = new Ruling()
  readonly #target = this.#ruling.target
  readonly #endOldest = (): boolean => {
    const { oldest } = this.#byUse
    if (oldest !== undefined) this.abort(oldest.flow)
    return oldest !== undefined
  }
  #isForbiddenV4 = false
  #isForbiddenV6 = false
  #nextPermission = 0

  constructor(components: Components, options: IcmpOptions = {}) {
    this.#components = components
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT
    this.#mostFlows = Math.max(1, Math.min(MOST_FLOWS, components.flows.capacity >> 2))
    this.#reasons = icmpReasons(components.drops)
    this.#identifiers = new Identifiers(components, this.#states, (flow) => this.abort(flow))
    this.#errors = new EchoErrorRelay(components, this.#reasons, this.#identifiers)
    this.#goingOn = new GoingOn(components)
    this.#warning = new ShortageWarning(components, "icmp")
    this.#guestErrors = new GuestErrors(components)
    this.#toGuest = new ToGuest(components, this.#reasons, this.#errors, this.#identifiers)
    this.#ownEcho = new OwnEcho(components.arena, components.guest, options.ourAddresses ?? [])
  }

  start(): void {
    this.#askPermission()
    if (!this.#isForbiddenV4 && !this.#isForbiddenV6) return
    this.#components.log.warning(
      "icmp: this host forbids ping sockets, so that pings get no further than its loopback: allow them with " +
        "sysctl net.ipv4.ping_group_range",
    )
  }

  fromGuest(sequence: Sequence): Disposition {
    const { arena, drops } = this.#components
    if (isAboutTheLink(arena, sequence)) return NOT_MINE
    this.#tap.copyFrom(sequence.demiflow)
    for (let index = 0; index < sequence.count; index++) {
      const verdict = checkEchoRequest(arena, sequence, index, this.#reasons)
      // RFC 5508 REQ-5 MUST: an error about a packet of no flow is dropped in silence
      if (verdict === this.#reasons.errorFromGuest && this.#guestErrors.take(sequence, index)) continue
      if (verdict !== SOUND) drops.count(verdict)
      else if (!this.#ownEcho.answersGroup(sequence, index)) this.#forward(sequence, index)
    }
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const port = this.#states.get(flowOf(side))?.port
    if (port === undefined) return
    if ((events & SocketEvent.error) !== 0) this.#errors.drainPort(port)
    // `writable` is ignored: what the send buffer had no room for was dropped.
    if ((events & ~SocketEvent.writable) !== 0) this.#toGuest.drain(port)
  }

  fromGuestError(side: SideRef, { mtu }: Readonly<GuestError>): boolean {
    this.#components.flows.readSide(side, this.#tap)
    // Over IPv4, a router may fragment what we send.
    return mtu > 0 && !this.#tap.isV4
  }

  tick(): void {
    this.#toGuest.waiting.tick()
  }

  resume(): void {
    this.#toGuest.waiting.resume()
  }

  expire(index: FlowIndex, now: number): void {
    const flow = this.#states.get(index)
    if (flow === undefined) return
    // RFC 5508 REQ-2 MUST: an echo flow lasts 60 s or more after its last message
    const deadline = flow.lastActivity + this.#timeout
    if (deadline > now && !isOrphan(flow) && this.#isAllowed(flow)) this.#components.flows.schedule(index, deadline)
    else this.abort(index)
  }

  totalsOf(index: FlowIndex): FlowTotals {
    const flow = this.#states.get(index)
    return flow === undefined ? {} : totalsOf(flow)
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
    flows.release(index)
    this.#states.finish(flow)
  }

  giveWay(): boolean {
    return this.#identifiers.giveWay(this.#components.clock.now - FAIR_TIME)
  }

  givePlace(share: PlaceShareId): boolean {
    const { oldest } = this.#byUse
    // A flow from outside must not displace a ping, which may have been answered: that is the guest's to keep.
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

  /** True if this version of IP had no ping sockets at the last check, at most `PERMISSION_INTERVAL` ago. */
  #isStillForbidden(isV4: boolean): boolean {
    const isForbidden = isV4 ? this.#isForbiddenV4 : this.#isForbiddenV6
    if (!isForbidden || this.#components.clock.now < this.#nextPermission) return isForbidden
    this.#askPermission()
    if (isV4 ? this.#isForbiddenV4 : this.#isForbiddenV6) return true
    this.#components.log.info("icmp: this host allows ping sockets now")
    return false
  }

  #isForbidden(demiflow: Demiflow): boolean {
    const { sockets } = this.#components
    const socket = sockets.pingBind(NO_SIDE, demiflow)
    if (socket >= 0) sockets.close(socket)
    return socket === -Errno.EACCES || socket === -Errno.EPERM
  }

  /** Forwards an echo request to the host. */
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
    if (side < 0 || isOrphaned) flow = this.#open(sequence, index, offset, length)
    const port = flow?.port
    if (flow === undefined || port === undefined) {
      // Another protocol has a flow with this key.
      if (side >= 0) drops.count(this.#reasons.unsupported)
      return
    }
    flow.lastActivity = clock.now
    this.#byUse.add(flow)
    this.#identifiers.used(port, clock.now)
    flow.lastLength = length
    flow.packetsFromGuest++
    flow.bytesFromGuest += length - ICMP_HEADER_LENGTH
    flow.lastSequence = arena.view.getUint16(offset + ICMP_SEQUENCE)
    const isV4 = port.address.isV4
    const batch = this.#batch
    batch.marks = marksOf(sequence, index, port.marksOf(isV4))
    port.mark(isV4, batch.marks)
    batch.offset[0] = offset
    batch.length[0] = length
    batch.segmentSize[0] = 0
    const isRefused = !this.#send(flow, port)
    // A new flow whose request the host refused has no reply to wait for.
    if (isRefused && side < 0) this.abort(flow.flow)
  }

  /** Sends a request. Returns false if the host can't send any to this correspondent. */
  #send(flow: EchoFlow, port: GuestPort): boolean {
    const { drops, flows, sockets } = this.#components
    const batch = this.#batch
    const target = this.#target
    const errors = this.#sendingErrors
    flows.readSide(flow.hostSide, target)
    errors.begin()
    let sent = sockets.sendDatagramsTo(port.socket, target, 0, batch, 0, 1)
    while (sent < 0 && !isQueueFull(-sent)) {
      if (!errors.mayBeOthers(sent, this.#errors.drainPort(port))) break
      sent = sockets.sendDatagramsTo(port.socket, target, 0, batch, 0, 1)
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

  /** Opens a flow for the request at `offset`. A failure is counted, and reported to the guest if possible. */
  #open(sequence: Sequence, index: number, offset: number, length: number): EchoFlow | undefined {
    const { clock, drops, flows, verdicts } = this.#components
    const { protocol } = sequence
    const tap = this.#tap
    const ruling = this.#ruling
    const verdict = verdicts.fromGuest(protocol, tap, ruling, sequence, index)
    if (verdict === Verdict.later) return undefined
    if (verdict !== Verdict.forward) {
      drops.count(ruling.reason)
      if (verdict === Verdict.refuse) this.#errors.refuse(tap, Errno.EPERM, offset, length)
      return undefined
    }
    if (this.#isStillForbidden(this.#target.isV4)) {
      // This host would answer itself, and needs no socket for that.
      if (this.#target.correspondentAddress.isLoopback) this.#ownEcho.answer(sequence, index, tap.forwardingAddress)
      else drops.count(this.#reasons.forbidden)
      return undefined
    }
    if (this.#byUse.count >= this.#mostFlows) this.#endOldest()
    const created = takePlace(this.#components, protocol, PlaceShare.exchanges, this.#endOldest)
    // `takePlace` counts the drop itself.
    if (created < 0) return undefined
    const initiated = flows.initiate(created, tap)
    const port = this.#identifiers.share(targetSide(initiated), tap, this.#target)
    if (typeof port === "number") {
      if (isShortage(-port)) {
        this.#warning.warn()
        return this.#giveUp(initiated, this.#reasons.noSocket)
      }
      this.#errors.refuse(tap, -port, offset, length)
      return this.#giveUp(initiated, this.#reasons.openFailed)
    }
    const flow = flows.activate(flows.target(initiated, this.#target, ruling.rule))
    flows.makeTargetFindable(flow)
    flows.schedule(flow, clock.now + this.#timeout)
    this.#logStart(flow)
    const state = this.#states.begin(initiatingSide(flow), port)
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

  #logStart(flow: FlowIndex): void {
    const { log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow} (icmp) ${this.#tap} ⇄ ${this.#target}`)
  }
}

/** True for a flow whose identifier was closed before it: it ends in a later turn. */
function isOrphan({ port }: EchoFlow): boolean {
  return port !== undefined && port.socket < 0
}

function isQueueFull(errno: number): boolean {
  return errno === 0 || errno === Errno.EAGAIN || errno === Errno.ENOBUFS
}
