/** The TCP handler: finds the connection of what arrives and hands it to the part that deals with it. */
import {
  type Claim,
  type Components,
  type Disposition,
  type DropReason,
  type FlowIndex,
  flowOf,
  type GuestError,
  HANDLED,
  HostEvent,
  IpProtocol,
  type Listener,
  type ProtocolHandler,
  type Sequence,
  type SideRef,
  transportChecksumIsRight,
} from "@demiflow/core"
import { Accepted } from "./accepted.ts"
import { Connecting } from "./connecting.ts"
import { TcpConnection } from "./connection.ts"
import { TcpContext } from "./context.ts"
import { FromTap, SegmentVerdict } from "./from-tap.ts"
import { InitialSequence } from "./initial-sequence.ts"
import { isGivenUp, keepAliveAt, leaveAskingToHost } from "./keep-alive.ts"
import { Listening } from "./listening.ts"
import { Splicing } from "./local/splicing.ts"
import type { TcpOptions } from "./options.ts"
import { Segment } from "./segment.ts"
import { Event, State } from "./state.ts"
import { ToHost } from "./to-host.ts"
import { ToTap } from "./to-tap.ts"
import { TcpFlag } from "./wire.ts"

export class TcpHandler implements ProtocolHandler {
  readonly name = "tcp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.tcp, hasPorts: true }]
  readonly #context: TcpContext
  readonly #connecting: Connecting
  readonly #splicing: Splicing | undefined
  readonly #accepted: Accepted
  readonly #listening: Listening
  readonly #toHost: ToHost
  readonly #toTap: ToTap
  readonly #fromTap: FromTap
  readonly #segment = new Segment()
  readonly #malformed: DropReason
  readonly #badChecksum: DropReason
  readonly #noConnection: DropReason

  constructor(components: Components, options: Required<TcpOptions>) {
    const { drops } = components
    this.#context = new TcpContext(components, options, () => new TcpConnection())
    const initialSequence = new InitialSequence(components.random, components.clock)
    this.#connecting = new Connecting(this.#context, initialSequence)
    const { localPath } = components
    this.#splicing = localPath && new Splicing(this.#context, localPath)
    this.#accepted = new Accepted(this.#context, initialSequence, this.#splicing)
    this.#listening = new Listening(this.#context, this.#accepted)
    this.#toHost = new ToHost(this.#context)
    this.#toTap = new ToTap(this.#context, this.#toHost)
    this.#fromTap = new FromTap(this.#context, this.#toHost, this.#toTap)
    this.#malformed = drops.reason("tcp: malformed header")
    this.#badChecksum = drops.reason("tcp: checksum")
    this.#noConnection = drops.reason("tcp: no connection")
  }

  fromTap(sequence: Sequence): Disposition {
    const { flows } = this.#context.components
    const side = flows.lookup(IpProtocol.tcp, sequence.demiflow)
    let connection = side < 0 ? undefined : this.#context.connectionOf(flowOf(side))
    for (let index = 0; index < sequence.count; index++) {
      if (!this.#read(sequence, index)) continue
      let highest: number | undefined
      if (connection !== undefined) {
        highest = connection.seqToTapHighest
        const verdict = this.#fromTap.segment(connection, this.#segment)
        if (connection.flow < 0) connection = undefined
        if (verdict === SegmentVerdict.done) continue
        if (verdict === SegmentVerdict.refuse) {
          this.#context.output.refuse(sequence.demiflow, this.#segment)
          continue
        }
      }
      connection = this.#withoutConnection(sequence, highest)
    }
    if (connection !== undefined) this.#fromTap.finish(connection)
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
      if (events & (HostEvent.writable | HostEvent.error | HostEvent.hangUp))
        this.#connecting.concluded(connection, events)
      if (connection.flow < 0 || connection.state === State.connecting) return
    } else if (events & HostEvent.error) {
      if (this.#context.components.host.socketError(connection.socket) < 0) {
        this.#context.abort(connection, true)
        return
      }
    }
    if (events & (HostEvent.readEnd | HostEvent.hangUp)) connection.isHostEnding = true
    if (events & HostEvent.urgent) connection.isHostUrgent = true
    if (events & HostEvent.writable) this.#toHost.flush(connection)
    if (connection.flow < 0) return
    if (events & ~(HostEvent.writable | HostEvent.error)) {
      connection.isHostReadable = true
      this.#toTap.pump(connection)
    }
  }

  fromGuestError(side: SideRef, error: Readonly<GuestError>): boolean {
    const connection = this.#context.connectionOf(flowOf(side))
    return connection !== undefined && this.#toTap.reported(connection, error)
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
    if (connection.retransmitAt >= 0 && connection.retransmitAt <= now) this.#toTap.timedOut(connection)
    if (connection.flow >= 0 && keepAliveAt(connection) <= now) this.#keepAlive(connection)
    if (connection.flow >= 0) this.#context.arm(connection)
  }

  tick(): void {
    this.#context.woken()
    this.#connecting.tick()
    this.#toTap.resume()
    this.#toHost.tick()
    this.#listening.tick()
    this.#splicing?.tick()
  }

  reconnected(): void {
    this.#toTap.linkIsBack()
    this.#context.retryAll()
  }

  resume(): void {
    this.#toTap.guestTakesMore()
  }

  endTurn(): void {
    this.#toHost.endTurn()
    this.#toTap.endTurn()
    this.#connecting.endTurn()
    this.#accepted.endTurn()
  }

  abort(flow: FlowIndex): void {
    const connection = this.#context.connectionOf(flow)
    if (connection !== undefined) this.#context.abort(connection, true)
    else this.#splicing?.abort(flow)
  }

  /** Reads and checks packet `index`; false if it was dropped. */
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
   * A segment that belongs to no connection: the beginning of one, or refused.
   *
   * @param highest where our numbers of a connection stopped that gives way to it
   */
  #withoutConnection(sequence: Sequence, highest: number | undefined): TcpConnection | undefined {
    const { flows, drops } = this.#context.components
    const segment = this.#segment
    const kind = segment.flags & (TcpFlag.syn | TcpFlag.acknowledgement | TcpFlag.reset | TcpFlag.fin)
    if (kind !== TcpFlag.syn) {
      drops.count(this.#noConnection)
      // Nothing is answered in the name of a group (RFC 1122, section 4.2.3.10).
      const { forwardingAddress, correspondentAddress } = sequence.demiflow
      if (forwardingAddress.isUnicast && correspondentAddress.isUnicast) {
        this.#context.output.refuse(sequence.demiflow, segment)
      }
      return undefined
    }
    this.#connecting.open(sequence, segment, highest)
    const side = flows.lookup(IpProtocol.tcp, sequence.demiflow)
    return side < 0 ? undefined : this.#context.connectionOf(flowOf(side))
  }

  #keepAlive(connection: TcpConnection): void {
    // A guest that has been silent for so long asks no more after its correspondent.
    leaveAskingToHost(this.#context, connection)
    if (isGivenUp(connection)) {
      if (!this.#context.leaveToHost(connection)) this.#context.abort(connection, true)
    }
    // What is sent again, or asks for a window, asks the same.
    else if (connection.state > State.synReceived && connection.retransmitAt < 0) this.#toTap.sendProbe(connection)
  }
}
