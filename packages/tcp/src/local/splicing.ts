/**
 * The local path of TCP: connections whose two ends are sockets of this machine, one on the host and one inside the
 * guest's namespace. Theory of operation.
 *
 * Such a connection never touches the tap. The kernel moves the bytes that one socket receives into a pipe, and from
 * there into the other socket (splice(2)); it passes pages on instead of copying them. A pipe is needed only between
 * these two moves, so one or two serve all connections (pipe-pool.ts); a direction keeps one only while its receiver
 * takes nothing. Only the pipe and the sockets' own buffers hold bytes: when they are full, the sender's window closes.
 * Where no pipe is available, bytes are copied, so that connections continue, and end, when descriptors have run out
 * (mover.ts).
 *
 * A connection begins with an accepted socket. The other socket connects; if it can't, the first one is reset. Each
 * direction ends by itself, once everything before the end is delivered. A reset or an error at one end becomes a reset
 * at the other, behind the bytes before it. A connection has no time-out: both ends are processes of this machine,
 * whose kernel reports when one has gone. But the kernel doesn't report that it has forgotten an end whose process has
 * closed while the other end hasn't (Linux: after a minute, `tcp_fin_timeout`). So that end is probed each minute, and
 * answers by a reset. An end that has only closed its direction keeps the connection.
 *
 * Sockets report changes once (edge-triggered). A direction that has used up its budget continues in the next turn,
 * behind the others. The buffer sizes of sockets are left to the kernel: with a smaller buffer, it would drop what
 * doesn't fit, and the sender would wait for its time-out.
 */
import {
  type Demiflow,
  type DropReason,
  Errno,
  FlowEnd,
  type FlowIndex,
  type FlowTotals,
  Interface,
  IpProtocol,
  initiatingSide,
  type LocalPath,
  NO_SOCKET,
  PlaceShare,
  type RuleId,
  type SideRef,
  type Socket,
  SocketEvent,
  type Sockets,
  socketsAt,
  targetSide,
} from "@demiflow/core"
import { FlowStates, takePlace, WaitingList } from "@demiflow/protocol-kit"
import { State, type StateId, stateName } from "../connection/state.ts"
import type { TcpContext } from "../driver/context.ts"
import { type Direction, Ending } from "./direction.ts"
import { Moved, Mover } from "./mover.ts"
import { PipePool } from "./pipe-pool.ts"
import { SplicedConnection } from "./spliced-connection.ts"

/** Rounds of the mover's budget that move more than a socket's receive buffer holds. */
const REST_ROUNDS = 32
/** Silence after which an end that sends nothing more is probed, seconds. */
const SILENCE_AFTER_END = 60

export class Splicing {
  readonly #context: TcpContext
  readonly #mover: Mover
  readonly #pool: PipePool
  readonly #connections = new FlowStates<SplicedConnection>()
  /** Connections with more to move than there was time for. */
  readonly #waiting: WaitingList<SplicedConnection>
  readonly #refused: DropReason

  constructor(context: TcpContext, { pipes }: LocalPath) {
    const { arena, drops, guest } = context.components
    this.#context = context
    this.#waiting = new WaitingList({ guest, wakeAt: (at) => context.wake(at) }, (connection) => {
      if (connection.flow >= 0) this.#move(connection)
    })
    this.#pool = new PipePool(pipes)
    this.#mover = new Mover(arena, pipes, this.#pool)
    this.#refused = drops.reason("tcp: other end of a local connection refused")
  }

  /**
   * Splices a connection that was accepted at a listener's port. Returns 0, or a negated error number if the connection
   * was reset because the other one could not even be begun.
   *
   * @param initiating the side on which the connection was accepted
   * @param target where it leads: on the host or inside the namespace
   * @param rule the policy's rule that let it in
   */
  open(socket: Socket, initiating: Demiflow, target: Demiflow, rule: RuleId): number {
    const { components } = this.#context
    const { flows, drops } = components
    const sockets = socketsAt(components, initiating.interface)
    const targetHost = socketsAt(components, target.interface)
    if (sockets === undefined || targetHost === undefined) return -Errno.EPROTONOSUPPORT
    const share = initiating.interface === Interface.host ? PlaceShare.fromOutside : PlaceShare.all
    const created = takePlace(components, IpProtocol.tcp, share)
    if (created < 0) {
      sockets.reset(socket)
      return 0
    }
    const flow = flows.activate(flows.target(flows.initiate(created, initiating), target, rule))
    const targetSocket = targetHost.tcpConnect(targetSide(flow), target)
    const result = targetSocket < 0 ? targetSocket : sockets.watch(socket, initiatingSide(flow))
    if (result < 0) {
      drops.count(this.#refused)
      if (targetSocket >= 0) targetHost.reset(targetSocket)
      sockets.reset(socket)
      flows.release(flow, FlowEnd.aborted)
      return result
    }
    const connection = this.#add(flow, sockets, targetHost)
    connection.forth.reset(socket, sockets, targetSocket, targetHost)
    connection.back.reset(targetSocket, targetHost, socket, sockets)
    connection.back.isWritable = true
    if (components.log.isDebug) components.log.debug(`flow ${flow} (tcp) ${initiating} spliced to ${target}`)
    return 0
  }

  /** Handles an event of the socket of a side. */
  fromHost(side: SideRef, events: number): void {
    const connection = this.#connections.of(side)
    if (connection === undefined) return
    const isInitiating = side === initiatingSide(connection.flow)
    const outgoing = isInitiating ? connection.back : connection.forth
    const incoming = isInitiating ? connection.forth : connection.back
    if (events & SocketEvent.error && this.#hasFailed(connection, incoming)) {
      if (connection.isConnecting) this.#context.components.drops.count(this.#refused)
      // An end that had closed before was forgotten by its kernel; what it sent is still delivered.
      if (incoming.isShut && incoming.toHost.unacknowledged(incoming.to) > 0) this.#end(connection, false)
      else this.#fail(connection)
      return
    }
    if (events & SocketEvent.writable) {
      outgoing.isWritable = true
      if (!isInitiating && connection.isConnecting && !this.#isInProgress(connection)) {
        connection.isConnecting = false
        this.#report(connection, State.established)
      }
    }
    if (events & SocketEvent.urgent) incoming.isUrgent = true
    if (events & ~(SocketEvent.writable | SocketEvent.error)) incoming.isReadable = true
    this.#move(connection)
  }

  /** True if the event that the other socket is writable was for no reason: it isn't connected yet. */
  #isInProgress({ forth }: SplicedConnection): boolean {
    return forth.toHost.connectOutcome(forth.to) === -Errno.EINPROGRESS
  }

  /** Continues with the connections whose turn has come. */
  tick(): void {
    this.#waiting.tick()
  }

  /** See `ProtocolHandler.stop`. */
  stop(): void {
    this.#pool.clear()
  }

  /** Ends a connection at once, by a reset at both ends. */
  abort(flow: FlowIndex): void {
    const connection = this.#connections.get(flow)
    if (connection !== undefined) this.#end(connection, true)
  }

  /** See `ProtocolHandler.totalsOf`. */
  totalsOf(flow: FlowIndex): FlowTotals {
    const connection = this.#connections.get(flow)
    if (connection === undefined) return {}
    const { forth, back } = connection
    return this.#isGuestInitiating(connection)
      ? { bytesFromGuest: forth.bytes, bytesToGuest: back.bytes }
      : { bytesFromGuest: back.bytes, bytesToGuest: forth.bytes }
  }

  #isGuestInitiating({ flow }: SplicedConnection): boolean {
    return this.#context.components.flows.interfaceOf(initiatingSide(flow)) !== Interface.host
  }

  #report({ flow }: SplicedConnection, state: StateId): void {
    const { reports } = this.#context.components
    if (reports.isObserved) reports.changed(flow, stateName(state))
  }

  /** Reports that one direction has ended, unless the other one had before: then so does the connection. */
  #reportEnd(connection: SplicedConnection, ended: Direction): void {
    const { forth, back } = connection
    if (forth.isShut && back.isShut) return
    const isFromGuest = (ended === forth) === this.#isGuestInitiating(connection)
    this.#report(connection, isFromGuest ? State.closeWait : State.finWait1)
  }

  #move(connection: SplicedConnection): void {
    if (connection.isConnecting) return
    const { forth, back } = connection
    if (!this.#moveOne(connection, forth) || !this.#moveOne(connection, back)) this.#fail(connection)
    else if (forth.isShut && back.isShut) this.#end(connection, false)
  }

  /** Moves what one direction can. Returns false if the connection can't continue. */
  #moveOne(connection: SplicedConnection, direction: Direction): boolean {
    const result = this.#moveIn(direction)
    if (result < 0) return false
    if (result === Moved.part) this.#waiting.wait(connection, this.#context.now)
    if (direction.hasEnded && direction.heldBytes === 0 && !direction.isShut) {
      direction.ending = Ending.passedOn
      direction.toHost.shutdownWrite(direction.to)
      direction.fromHost.keepAlive(direction.from, SILENCE_AFTER_END)
      this.#reportEnd(connection, direction)
    }
    return true
  }

  #moveIn(direction: Direction): number {
    const result = this.#mover.move(direction)
    direction.bytes += this.#mover.movedBytes
    return result
  }

  /** True if the socket that a direction reads from has an error. What came before the error is moved first. */
  #hasFailed(connection: SplicedConnection, direction: Direction): boolean {
    if (!connection.isConnecting && this.#moveRest(direction) < 0) return true
    return direction.fromHost.socketError(direction.from) < 0
  }

  /**
   * Resets both ends after one has failed. What came before is delivered first, as it would be without us in between.
   */
  #fail(connection: SplicedConnection): void {
    if (!connection.isConnecting) {
      this.#moveRest(connection.forth)
      this.#moveRest(connection.back)
    }
    this.#end(connection, true)
  }

  /** Moves everything that has arrived and is taken. Returns a negated error number if an error follows. */
  #moveRest(direction: Direction): number {
    direction.isReadable = true
    let result: number = Moved.part
    // There may be no error after all, and then possibly no end of what arrives: hence the limit.
    for (let round = 0; result === Moved.part && round < REST_ROUNDS; round++) result = this.#moveIn(direction)
    return result
  }

  #add(flow: FlowIndex, sockets: Sockets, targetHost: Sockets): SplicedConnection {
    const connection = this.#connections.spare() ?? new SplicedConnection(sockets, targetHost)
    connection.flow = flow
    connection.isConnecting = true
    this.#connections.add(flow, connection)
    return connection
  }

  #end(connection: SplicedConnection, isReset: boolean): void {
    const { forth, back, flow } = connection
    this.#release(forth, isReset)
    this.#release(back, isReset)
    // Observers are given the totals meanwhile.
    this.#context.components.flows.release(flow, isReset ? FlowEnd.aborted : FlowEnd.done)
    connection.flow = -1 as FlowIndex
    this.#connections.remove(flow)
    this.#connections.keep(connection)
  }

  /** Releases the socket and the pipe that a direction reads from. */
  #release(direction: Direction, isReset: boolean): void {
    // What is lost in the pipe was sent as well.
    direction.bytes += direction.heldBytes
    this.#mover.abandon(direction)
    if (isReset) direction.fromHost.reset(direction.from)
    else direction.fromHost.close(direction.from)
    direction.from = NO_SOCKET
    direction.to = NO_SOCKET
  }
}
