/**
 * The local path of TCP: connections whose two ends are sockets of this machine, one on the host and one inside the guest's
 * namespace. Theory of operation.
 *
 * Such a connection never touches the tap: what one socket receives is moved into a pipe and from there into the other
 * socket by the kernel (splice(2)), which passes pages on instead of copying them. A pipe is needed only between these two
 * moves, so a few of them serve all connections (pipe-pool.ts); a direction keeps one only while its receiver takes nothing.
 * What is in it, and in the sockets' own buffers, is all that is ever held: then the sender's window closes.
 *
 * It begins with a connection that was accepted: the other socket connects, and if it can't, the first one is reset. Each
 * direction ends by itself, once everything before the end is delivered; a reset or an error at one end is a reset at the
 * other. A connection has no time-out: both ends are processes of this machine, whose kernel says when one has gone.
 *
 * Sockets tell once that something has changed (edge-triggered). A direction that used up its budget goes on in the next
 * turn, behind the others (moving is in mover.ts). While much is on its way, each wake-up would bring a segment or two: then the
 * receiving socket is told to speak up only when a fair amount is there, and is looked at after a moment in any case.
 */
import {
  type Demiflow,
  type DropReason,
  type FlowIndex,
  flowOf,
  type Host,
  HostEvent,
  hostAt,
  IpProtocol,
  initiatingSide,
  type LocalPath,
  NO_SOCKET,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"
import type { TcpContext } from "../context.ts"
import { Queue } from "../queue.ts"
import { Coalescing } from "./coalescing.ts"
import type { Direction } from "./direction.ts"
import { Moved, Mover } from "./mover.ts"
import { PipePool } from "./pipe-pool.ts"
import { SplicedConnection } from "./spliced-connection.ts"

/** When a direction that found no pipe tries again, milliseconds. */
const PIPE_PAUSE = 10

export class Splicing {
  readonly #context: TcpContext
  readonly #mover: Mover
  readonly #coalescing: Coalescing
  readonly #connections: (SplicedConnection | undefined)[] = []
  readonly #spare: SplicedConnection[] = []
  /** Those that have more to move than there was time for, in the order in which their turn comes. */
  readonly #waiting = new Queue<SplicedConnection>()
  /** Those that go on later, as there was no pipe. */
  readonly #withoutPipe = new Queue<SplicedConnection>()
  #pausedUntil = Number.POSITIVE_INFINITY
  readonly #refused: DropReason
  readonly #noPipe: DropReason

  constructor(context: TcpContext, { pipes }: LocalPath) {
    const { drops } = context.components
    this.#context = context
    this.#mover = new Mover(pipes, new PipePool(pipes))
    this.#coalescing = new Coalescing(pipes)
    this.#refused = drops.reason("tcp: other end of a local connection refused")
    this.#noPipe = drops.reason("tcp: no pipe for a local connection")
  }

  /**
   * Somebody has connected to a listener's port.
   *
   * @param initiating the side on which that was
   * @param target where it leads: on the host or inside the namespace
   */
  open(socket: Socket, initiating: Demiflow, target: Demiflow): void {
    const { components } = this.#context
    const { flows, drops, handlerNumber } = components
    const host = hostAt(components, initiating.interface)
    const targetHost = hostAt(components, target.interface)
    if (host === undefined || targetHost === undefined) return
    const created = flows.allocate(handlerNumber, IpProtocol.tcp)
    if (created < 0) {
      host.reset(socket)
      return
    }
    const flow = flows.activate(flows.target(flows.initiate(created, initiating), target))
    const targetSocket = targetHost.tcpConnect(targetSide(flow), target)
    if (targetSocket < 0 || host.watch(socket, initiatingSide(flow)) < 0) {
      drops.count(this.#refused)
      if (targetSocket >= 0) targetHost.reset(targetSocket)
      host.reset(socket)
      flows.release(flow)
      return
    }
    const connection = this.#add(flow, host, targetHost)
    connection.initiatingSocket = socket
    connection.targetSocket = targetSocket
    connection.forth.reset(socket, targetSocket)
    connection.back.reset(targetSocket, socket)
    connection.back.isWritable = true
    if (components.log.isDebug) components.log.debug(`flow ${flow} (tcp) ${initiating} spliced to ${target}`)
  }

  /** Something happened on the socket of a side. */
  fromHost(side: SideRef, events: number): void {
    const connection = this.#connections[flowOf(side)]
    if (connection === undefined) return
    const isInitiating = side === initiatingSide(connection.flow)
    if (events & HostEvent.error && this.#hasFailed(connection, isInitiating)) {
      if (connection.isConnecting) this.#context.components.drops.count(this.#refused)
      this.#end(connection, true)
      return
    }
    const outgoing = isInitiating ? connection.back : connection.forth
    const incoming = isInitiating ? connection.forth : connection.back
    if (events & HostEvent.writable) {
      outgoing.isWritable = true
      if (!isInitiating) connection.isConnecting = false
    }
    if (events & ~(HostEvent.writable | HostEvent.error)) incoming.isReadable = true
    this.#move(connection)
  }

  /** Goes on with those whose turn has come. */
  tick(): void {
    const { now } = this.#context
    if (this.#pausedUntil <= now) {
      this.#pausedUntil = Number.POSITIVE_INFINITY
      this.#carryOn(this.#withoutPipe)
    } else if (this.#withoutPipe.count > 0) this.#context.wake(this.#pausedUntil)
    this.#carryOn(this.#waiting)
    const next = this.#coalescing.tick(now, this.#look)
    if (next < Number.POSITIVE_INFINITY) this.#context.wake(next)
  }

  /** Ends a connection at once, by a reset at both ends. */
  abort(flow: FlowIndex): void {
    const connection = this.#connections[flow]
    if (connection !== undefined) this.#end(connection, true)
  }

  readonly #look = (connection: SplicedConnection): void => {
    connection.forth.isReadable = true
    connection.back.isReadable = true
    this.#move(connection)
  }

  #carryOn(queue: Queue<SplicedConnection>): void {
    for (let count = queue.count; count > 0; count--) {
      const connection = queue.shift()
      if (connection === undefined) return
      connection.isWaiting = false
      if (connection.flow >= 0) this.#move(connection)
    }
  }

  #move(connection: SplicedConnection): void {
    if (connection.isConnecting) return
    const goesOn = this.#moveOne(connection, connection.forth) && this.#moveOne(connection, connection.back)
    if (!goesOn) this.#end(connection, true)
    else if (connection.forth.isShut && connection.back.isShut) this.#end(connection, false)
  }

  /** False if the connection can't go on. */
  #moveOne(connection: SplicedConnection, direction: Direction): boolean {
    const result = this.#mover.move(direction)
    if (result < 0) return false
    const { movedBytes } = this.#mover
    direction.recentBytes += movedBytes
    if (result === Moved.part) this.#wait(connection, this.#waiting, this.#context.now)
    else if (result === Moved.noPipe) {
      this.#context.components.drops.count(this.#noPipe)
      if (this.#pausedUntil === Number.POSITIVE_INFINITY) this.#pausedUntil = this.#context.now + PIPE_PAUSE
      this.#wait(connection, this.#withoutPipe, this.#pausedUntil)
    } else if (this.#coalescing.note(connection, direction, movedBytes, this.#context.now)) {
      this.#context.wake(this.#coalescing.nextLook)
    }
    if (direction.hasEnded && direction.heldBytes === 0 && !direction.isShut) {
      direction.isShut = true
      const host = direction === connection.forth ? connection.targetHost : connection.initiatingHost
      host.shutdownWrite(direction.to)
    }
    return true
  }

  #wait(connection: SplicedConnection, queue: Queue<SplicedConnection>, until: number): void {
    this.#context.wake(until)
    if (connection.isWaiting) return
    connection.isWaiting = true
    queue.push(connection)
  }

  #hasFailed(connection: SplicedConnection, isInitiating: boolean): boolean {
    const host = isInitiating ? connection.initiatingHost : connection.targetHost
    return host.socketError(isInitiating ? connection.initiatingSocket : connection.targetSocket) < 0
  }

  #add(flow: FlowIndex, host: Host, targetHost: Host): SplicedConnection {
    const connection = this.#spare.pop() ?? new SplicedConnection(host, targetHost)
    connection.flow = flow
    connection.initiatingHost = host
    connection.targetHost = targetHost
    connection.isConnecting = true
    // Grown one by one, so that it never becomes a dictionary.
    while (this.#connections.length <= flow) this.#connections.push(undefined)
    this.#connections[flow] = connection
    return connection
  }

  #end(connection: SplicedConnection, isReset: boolean): void {
    const { initiatingHost, targetHost, initiatingSocket, targetSocket, flow } = connection
    for (const direction of [connection.forth, connection.back]) {
      this.#mover.abandon(direction)
      direction.isCoalescing = false
    }
    if (isReset) {
      initiatingHost.reset(initiatingSocket)
      targetHost.reset(targetSocket)
    } else {
      initiatingHost.close(initiatingSocket)
      targetHost.close(targetSocket)
    }
    connection.initiatingSocket = NO_SOCKET
    connection.targetSocket = NO_SOCKET
    connection.flow = -1 as FlowIndex
    this.#connections[flow] = undefined
    this.#context.components.flows.release(flow)
    this.#spare.push(connection)
  }
}
