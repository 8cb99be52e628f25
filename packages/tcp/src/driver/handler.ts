/** The TCP handler: finds the connection of a segment or event and hands it to the part that handles it. */
import {
  type Claim,
  type Components,
  type Disposition,
  type DropReason,
  type FlowIndex,
  type FlowTotals,
  flowOf,
  type GuestError,
  HANDLED,
  IpProtocol,
  type Listener,
  type LocalPath,
  type ProtocolHandler,
  type Sequence,
  type SideRef,
  SocketEvent,
  transportChecksumIsRight,
} from "@demiflow/core"
import { HostEvent } from "../connection/host-side.ts"
import { isGivenUp, keepAliveAt } from "../connection/keep-alive.ts"
import { TcpFlag } from "../connection/segment.ts"
import { Event, State } from "../connection/state.ts"
import type { Splicing } from "../local/splicing.ts"
import type { TcpOptions } from "../options.ts"
import { Accepted } from "./accepted.ts"
import { Connecting } from "./connecting.ts"
import { TcpContext } from "./context.ts"
import { leaveAskingToHost } from "./correspondent.ts"
import { FromGuest, SegmentOutcome } from "./from-guest.ts"
import { InitialSequence } from "./initial-sequence.ts"
import { Listening } from "./listening.ts"
import { ReceivedSegment } from "./received-segment.ts"
import { TcpConnection } from "./tcp-connection.ts"
import { ToGuest } from "./to-guest.ts"
import { ToHost } from "./to-host.ts"

/** The policy decides later. */
const WAITS = "waits"

/** Makes what handles connections of the local path. */
export type Splice = (context: TcpContext, localPath: LocalPath) => Splicing

export class TcpHandler implements ProtocolHandler {
  readonly name = "tcp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.tcp, hasPorts: true }]
  readonly #context: TcpContext
  readonly #connecting: Connecting
  readonly #splicing: Splicing | undefined
  readonly #accepted: Accepted
  readonly #listening: Listening
  readonly #toHost: ToHost
  readonly #toGuest: ToGuest
  readonly #fromGuest: FromGuest
  readonly #segment = new ReceivedSegment()
  readonly #malformed: DropReason
  readonly #badChecksum: DropReason
  readonly #noConnection: DropReason

  constructor(components: Components, options: Required<TcpOptions>, splice?: Splice) {
    const { drops } = components
    this.#context = new TcpContext(components, options, () => new TcpConnection())
    const initialSequence = new InitialSequence(components.random, components.clock)
    this.#connecting = new Connecting(this.#context, initialSequence)
    const { localPath } = components
    this.#splicing = localPath && splice?.(this.#context, localPath)
    this.#accepted = new Accepted(this.#context, initialSequence, this.#splicing)
    this.#listening = new Listening(this.#context, this.#accepted)
    this.#toHost = new ToHost(this.#context)
    this.#toGuest = new ToGuest(this.#context, this.#toHost)
    this.#fromGuest = new FromGuest(this.#context, this.#toHost, this.#toGuest)
    this.#malformed = drops.reason("tcp: malformed header")
    this.#badChecksum = drops.reason("tcp: checksum")
    this.#noConnection = drops.reason("tcp: no connection")
  }

  fromGuest(sequence: Sequence): Disposition {
    const { flows } = this.#context.components
    const side = flows.lookup(IpProtocol.tcp, sequence.demiflow)
    let connection = side < 0 ? undefined : this.#context.connectionOf(flowOf(side))
    for (let index = 0; index < sequence.count; index++) {
      if (!this.#read(sequence, index)) continue
      let highest: number | undefined
      if (connection !== undefined) {
        highest = connection.sender.seqToGuestHighest
        const outcome = this.#fromGuest.segment(connection, this.#segment)
        if (connection.flow < 0) connection = undefined
        if (outcome === SegmentOutcome.done) continue
        if (outcome === SegmentOutcome.refuse) {
          this.#context.output.refuse(sequence.demiflow, this.#segment)
          continue
        }
      }
      const begun = this.#withoutConnection(sequence, index, highest)
      if (begun === WAITS) return HANDLED
      connection = begun
    }
    if (connection !== undefined) this.#fromGuest.finish(connection)
    return HANDLED
  }

  fromHost(side: SideRef, events: number): void {
    const connection = this.#context.connectionOf(flowOf(side))
    if (connection === undefined) {
      this.#splicing?.fromHost(side, events)
      return
    }
    if (connection.socket < 0) return
    if (connection.state === State.connecting) {
      if (events & (SocketEvent.writable | SocketEvent.error | SocketEvent.hangUp))
        this.#connecting.concluded(connection)
      if (connection.flow < 0 || connection.state === State.connecting) return
    } else if (events & SocketEvent.error) {
      if (this.#context.components.sockets.socketError(connection.socket) < 0) {
        this.#context.abort(connection, true)
        return
      }
    }
    if (events & (SocketEvent.readEnd | SocketEvent.hangUp)) connection.readHost(HostEvent.ended)
    if (events & SocketEvent.urgent) connection.readHost(HostEvent.marked)
    if (events & SocketEvent.writable) this.#toHost.flush(connection)
    if (connection.flow < 0) return
    if (events & ~(SocketEvent.writable | SocketEvent.error)) {
      connection.readHost(HostEvent.arrived)
      this.#toGuest.pump(connection)
    }
  }

  fromGuestError(side: SideRef, error: Readonly<GuestError>): boolean {
    const connection = this.#context.connectionOf(flowOf(side))
    return connection !== undefined && this.#toGuest.reported(connection, error)
  }

  listen(listener: Listener): number {
    return this.#listening.listen(listener)
  }

  unlisten(listener: Listener): void {
    this.#listening.unlisten(listener)
  }

  fromListener(listener: Listener): void {
    this.#listening.fromListener(listener)
  }

  expire(flow: FlowIndex, now: number): void {
    const connection = this.#context.connectionOf(flow)
    if (connection === undefined) return
    connection.scheduledAt = -1
    if (connection.lingerUntil >= 0 && connection.lingerUntil <= now && connection.heldBytes === 0) {
      this.#context.apply(connection, Event.lingered)
      return
    }
    if (connection.lingerUntil >= 0 && connection.lingerUntil <= now) connection.lingerUntil = -1
    if (connection.sender.retransmitAt >= 0 && connection.sender.retransmitAt <= now) this.#toGuest.timedOut(connection)
    if (connection.flow >= 0 && keepAliveAt(connection) <= now) this.#keepAlive(connection)
    if (connection.flow >= 0) this.#context.arm(connection)
  }

  tick(): void {
    this.#context.woken()
    this.#connecting.tick()
    this.#toGuest.tick()
    this.#toHost.tick()
    this.#listening.tick()
    this.#splicing?.tick()
  }

  stop(): void {
    this.#splicing?.stop()
  }

  reconnected(): void {
    this.#toGuest.linkIsBack()
    this.#context.retryAll()
  }

  resume(): void {
    this.#toGuest.guestTakesMore()
  }

  endTurn(): void {
    this.#toHost.endTurn()
    this.#toGuest.endTurn()
    this.#connecting.endTurn()
    this.#accepted.endTurn()
  }

  abort(flow: FlowIndex): void {
    const connection = this.#context.connectionOf(flow)
    if (connection !== undefined) this.#context.abort(connection, true)
    else this.#splicing?.abort(flow)
  }

  totalsOf(flow: FlowIndex): FlowTotals {
    const isLocal = this.#context.connectionOf(flow) === undefined
    return (isLocal ? this.#splicing?.totalsOf(flow) : this.#context.totalsOf(flow)) ?? {}
  }

  /** Reads and checks packet `index`. Returns false if it was dropped. */
  #read(sequence: Sequence, index: number): boolean {
    const { arena, drops } = this.#context.components
    if (!this.#segment.read(arena, sequence, index)) {
      drops.count(this.#malformed)
      return false
    }
    if (sequence.checksumTrusted[index] === 0 && !transportChecksumIsRight(arena, sequence, index)) {
      drops.count(this.#badChecksum)
      return false
    }
    return true
  }

  /**
   * Handles a segment that belongs to no connection: begins one, or refuses the segment. Returns {@link WAITS} if it
   * waits for the policy, with all that is behind it.
   *
   * @param index of the segment in its sequence
   * @param highest where our numbers stopped of a connection that gives way to the new one
   */
  #withoutConnection(
    sequence: Sequence,
    index: number,
    highest: number | undefined,
  ): TcpConnection | typeof WAITS | undefined {
    const { flows, drops } = this.#context.components
    const segment = this.#segment
    const kind = segment.flags & (TcpFlag.syn | TcpFlag.acknowledgement | TcpFlag.reset | TcpFlag.fin)
    if (kind !== TcpFlag.syn) {
      drops.count(this.#noConnection)
      // No answer in the name of a group (RFC 1122, section 4.2.3.10).
      const { forwardingAddress, correspondentAddress } = sequence.demiflow
      if (forwardingAddress.isUnicast && correspondentAddress.isUnicast) {
        this.#context.output.refuse(sequence.demiflow, segment)
      }
      return undefined
    }
    if (this.#connecting.open(sequence, index, segment, highest)) return WAITS
    const side = flows.lookup(IpProtocol.tcp, sequence.demiflow)
    return side < 0 ? undefined : this.#context.connectionOf(flowOf(side))
  }

  #keepAlive(connection: TcpConnection): void {
    // A guest that was silent for so long no longer probes its correspondent.
    leaveAskingToHost(this.#context, connection)
    if (isGivenUp(connection)) {
      if (!this.#context.leaveToHost(connection)) this.#context.abort(connection, true)
    }
    // Retransmissions and window probes serve as keep-alive probes.
    else if (connection.state > State.synReceived && connection.sender.retransmitAt < 0)
      this.#toGuest.sendProbe(connection)
  }
}
