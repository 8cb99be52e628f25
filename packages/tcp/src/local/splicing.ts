/**
 * The local path of TCP: connections whose two ends are sockets of this machine, one on the host and one inside the guest's
 * namespace. Theory of operation.
 *
 * Such a connection never touches the tap: what one socket receives is moved into a pipe and from there into the other
 * socket by the kernel (splice(2)), which passes pages on instead of copying them. A pipe is needed only between these two
 * moves, so one or two of them serve all connections (pipe-pool.ts); a direction keeps one only while its receiver takes
 * nothing. What is in it, and in the sockets' own buffers, is all that is ever held: then the sender's window closes. Where no
 * pipe is left, bytes are copied, so that connections go on, and end, when descriptors have run out (mover.ts).
 *
 * It begins with a connection that was accepted: the other socket connects, and if it can't, the first one is reset. Each
 * direction ends by itself, once everything before the end is delivered; a reset or an error at one end is a reset at the
 * other, behind what came before it. A connection has no time-out: both ends are processes of this machine, whose kernel says
 * when one has gone. It doesn't say when it has forgotten one whose process has closed and whose other end hasn't (Linux: a
 * minute later, `tcp_fin_timeout`): so that is asked each minute, and answers by a reset. One that has closed its direction
 * only keeps the connection.
 *
 * Sockets report once that something has changed (edge-triggered). A direction that used up its budget goes on in the next
 * turn, behind the others. How much sockets keep is left to the kernel: it drops what a smaller buffer has no room for, and the
 * sender then waits for its time-out.
 */
import {
  type Demiflow,
  type DropReason,
  Errno,
  type FlowIndex,
  flowOf,
  type Host,
  HostEvent,
  hostAt,
  Interface,
  IpProtocol,
  initiatingSide,
  type LocalPath,
  NO_SOCKET,
  PlaceShare,
  type SideRef,
  type Socket,
  takePlace,
  targetSide,
} from "@demiflow/core"
import type { TcpContext } from "../context.ts"
import { Queue } from "../queue.ts"
import type { Direction } from "./direction.ts"
import { Moved, Mover } from "./mover.ts"
import { PipePool } from "./pipe-pool.ts"
import { SplicedConnection } from "./spliced-connection.ts"

/** Budgets of the mover that hold more than a socket's receive buffer does. */
const REST_ROUNDS = 32
/** Silence after which an end that sends nothing more is asked whether it is still there, seconds. */
const SILENCE_AFTER_END = 60

export class Splicing {
  readonly #context: TcpContext
  readonly #mover: Mover
  readonly #connections: (SplicedConnection | undefined)[] = []
  readonly #spare: SplicedConnection[] = []
  /** Those that have more to move than there was time for, in the order in which their turn comes. */
  readonly #waiting = new Queue<SplicedConnection>()
  readonly #refused: DropReason

  constructor(context: TcpContext, { pipes }: LocalPath) {
    const { arena, drops } = context.components
    this.#context = context
    this.#mover = new Mover(arena, pipes, new PipePool(pipes))
    this.#refused = drops.reason("tcp: other end of a local connection refused")
  }

  /**
   * Somebody has connected to a listener's port. Answers 0, or a negated error number if the connection was reset because the
   * other one could not even be begun.
   *
   * @param initiating the side on which that was
   * @param target where it leads: on the host or inside the namespace
   */
  open(socket: Socket, initiating: Demiflow, target: Demiflow): number {
    const { components } = this.#context
    const { flows, drops } = components
    const host = hostAt(components, initiating.interface)
    const targetHost = hostAt(components, target.interface)
    if (host === undefined || targetHost === undefined) return -Errno.EPROTONOSUPPORT
    const share = initiating.interface === Interface.host ? PlaceShare.fromOutside : PlaceShare.all
    const created = takePlace(components, IpProtocol.tcp, share)
    if (created < 0) {
      host.reset(socket)
      return 0
    }
    const flow = flows.activate(flows.target(flows.initiate(created, initiating), target))
    const targetSocket = targetHost.tcpConnect(targetSide(flow), target)
    const result = targetSocket < 0 ? targetSocket : host.watch(socket, initiatingSide(flow))
    if (result < 0) {
      drops.count(this.#refused)
      if (targetSocket >= 0) targetHost.reset(targetSocket)
      host.reset(socket)
      flows.release(flow)
      return result
    }
    const connection = this.#add(flow, host, targetHost)
    connection.forth.reset(socket, host, targetSocket, targetHost)
    connection.back.reset(targetSocket, targetHost, socket, host)
    connection.back.isWritable = true
    if (components.log.isDebug) components.log.debug(`flow ${flow} (tcp) ${initiating} spliced to ${target}`)
    return 0
  }

  /** Something happened on the socket of a side. */
  fromHost(side: SideRef, events: number): void {
    const connection = this.#connections[flowOf(side)]
    if (connection === undefined) return
    const isInitiating = side === initiatingSide(connection.flow)
    const outgoing = isInitiating ? connection.back : connection.forth
    const incoming = isInitiating ? connection.forth : connection.back
    if (events & HostEvent.error && this.#hasFailed(connection, incoming)) {
      if (connection.isConnecting) this.#context.components.drops.count(this.#refused)
      // One that had closed before is forgotten, and what it sent is still delivered.
      if (incoming.isShut && incoming.toHost.unacknowledged(incoming.to) > 0) this.#end(connection, false)
      else this.#fail(connection)
      return
    }
    if (events & HostEvent.writable) {
      outgoing.isWritable = true
      if (!isInitiating) connection.isConnecting = false
    }
    if (events & HostEvent.urgent) incoming.isUrgent = true
    if (events & ~(HostEvent.writable | HostEvent.error)) incoming.isReadable = true
    this.#move(connection)
  }

  /** Goes on with those whose turn has come. */
  tick(): void {
    for (let count = this.#waiting.count; count > 0; count--) {
      const connection = this.#waiting.shift()
      if (connection === undefined) break
      connection.isWaiting = false
      if (connection.flow >= 0) this.#move(connection)
    }
  }

  /** Ends a connection at once, by a reset at both ends. */
  abort(flow: FlowIndex): void {
    const connection = this.#connections[flow]
    if (connection !== undefined) this.#end(connection, true)
  }

  #move(connection: SplicedConnection): void {
    if (connection.isConnecting) return
    const { forth, back } = connection
    if (!this.#moveOne(connection, forth) || !this.#moveOne(connection, back)) this.#fail(connection)
    else if (forth.isShut && back.isShut) this.#end(connection, false)
  }

  /** False if the connection can't go on. */
  #moveOne(connection: SplicedConnection, direction: Direction): boolean {
    const result = this.#mover.move(direction)
    if (result < 0) return false
    if (result === Moved.part) this.#wait(connection)
    if (direction.hasEnded && direction.heldBytes === 0 && !direction.isShut) {
      direction.isShut = true
      direction.toHost.shutdownWrite(direction.to)
      direction.fromHost.keepAlive(direction.from, SILENCE_AFTER_END)
    }
    return true
  }

  #wait(connection: SplicedConnection): void {
    this.#context.wake(this.#context.now)
    if (connection.isWaiting) return
    connection.isWaiting = true
    this.#waiting.push(connection)
  }

  /** Takes the error of the socket that a direction reads from, once what came before it is moved. True if there is one. */
  #hasFailed(connection: SplicedConnection, direction: Direction): boolean {
    if (!connection.isConnecting && this.#moveRest(direction) < 0) return true
    return direction.fromHost.socketError(direction.from) < 0
  }

  /** One end has failed, and the other one hears of it. What came before goes there first, as it would without us in between. */
  #fail(connection: SplicedConnection): void {
    if (!connection.isConnecting) {
      this.#moveRest(connection.forth)
      this.#moveRest(connection.back)
    }
    this.#end(connection, true)
  }

  /** Moves all that has arrived, as far as it is taken; a negated error number if there is one behind it. */
  #moveRest(direction: Direction): number {
    direction.isReadable = true
    let result: number = Moved.part
    // No error need be behind it after all, and then there may be no end to what comes.
    for (let round = 0; result === Moved.part && round < REST_ROUNDS; round++) result = this.#mover.move(direction)
    return result
  }

  #add(flow: FlowIndex, host: Host, targetHost: Host): SplicedConnection {
    const connection = this.#spare.pop() ?? new SplicedConnection(host, targetHost)
    connection.flow = flow
    connection.isConnecting = true
    // Grown one by one, so that it never becomes a dictionary.
    while (this.#connections.length <= flow) this.#connections.push(undefined)
    this.#connections[flow] = connection
    return connection
  }

  #end(connection: SplicedConnection, isReset: boolean): void {
    const { forth, back, flow } = connection
    this.#release(forth, isReset)
    this.#release(back, isReset)
    connection.flow = -1 as FlowIndex
    this.#connections[flow] = undefined
    this.#context.components.flows.release(flow)
    this.#spare.push(connection)
  }

  /** Lets go of what a direction reads from. */
  #release(direction: Direction, isReset: boolean): void {
    this.#mover.abandon(direction)
    if (isReset) direction.fromHost.reset(direction.from)
    else direction.fromHost.close(direction.from)
    direction.from = NO_SOCKET
    direction.to = NO_SOCKET
  }
}
