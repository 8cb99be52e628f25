/** `Sockets` of `@demiflow/core`: finds the socket that a call names, and what it can do. */
import {
  type Arena,
  type DatagramBatch,
  type Demiflow,
  Errno,
  type SideRef,
  type Socket,
  type SocketEvents,
  type Sockets,
  type SocketsCapabilities,
  SocketsInUseError,
  type TcpInformation,
  type Vectors,
} from "@demiflow/core"
import { DatagramSocket } from "./datagram-socket.ts"
import { EventList, type HostSocket } from "./host-socket.ts"
import { EBADF } from "./socket-errors.ts"
import { SocketTable } from "./socket-table.ts"
import { StreamSocket } from "./stream-socket.ts"
import type { TurnLoop } from "./turn-loop.ts"

/**
 * Sockets whose events come from a loop. A subclass opens them; what it doesn't override isn't supported: listening,
 * ping sockets, marks.
 */
export abstract class KitSockets implements Sockets {
  readonly arena: Arena
  abstract readonly capabilities: SocketsCapabilities
  readonly mostSockets?: number
  protected readonly events: EventList
  protected readonly table: SocketTable = new SocketTable()
  readonly #loop: TurnLoop

  /** @param mostSockets sockets that may be open at once; no limit if not given */
  constructor(arena: Arena, loop: TurnLoop, mostSockets?: number) {
    this.arena = arena
    this.#loop = loop
    if (mostSockets !== undefined) this.mostSockets = mostSockets
    this.events = new EventList(loop.wake)
  }

  abstract tcpConnect(side: SideRef, demiflow: Demiflow): Socket
  abstract udpOpen(side: SideRef, demiflow: Demiflow): Socket
  abstract udpBind(side: SideRef, demiflow: Demiflow): Socket

  /** Sockets that are open. */
  get openSockets(): number {
    return this.table.size
  }

  /** See core's `Sockets`. Throws `SocketsInUseError`. */
  deliverTo(events: SocketEvents | undefined): void {
    if (events !== undefined && this.events.receiver !== undefined) throw new SocketsInUseError()
    this.events.receiver = events
    if (events === undefined) this.#loop.removeSource(this.events.deliver)
    else this.#loop.addSource(this.events.deliver)
  }

  stopQueuingErrors(): void {}

  tcpListen(..._: Parameters<Sockets["tcpListen"]>): Socket {
    return -Errno.EPROTONOSUPPORT as Socket
  }

  tcpAccept(..._: Parameters<Sockets["tcpAccept"]>): Socket {
    return -EBADF as Socket
  }

  connectionsWaiting(..._: Parameters<Sockets["connectionsWaiting"]>): number {
    return -EBADF
  }

  acceptedTrafficClass(): number {
    return 0
  }

  watch(socket: Socket, side: SideRef): number {
    const connection = this.#stream(socket)
    if (connection === undefined) return -EBADF
    connection.side = side
    connection.watched()
    return 0
  }

  send(socket: Socket, vectors: Vectors, first: number, count: number): number {
    return this.#stream(socket)?.send(this.arena, vectors, first, count) ?? -EBADF
  }

  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    return this.#stream(socket)?.peek(this.arena, vectors, first, count, skip) ?? -EBADF
  }

  discard(socket: Socket, length: number): number {
    return this.#stream(socket)?.discard(length) ?? -EBADF
  }

  unacknowledged(socket: Socket): number {
    return this.#stream(socket)?.unacknowledged ?? -EBADF
  }

  unread(socket: Socket): number {
    return this.#stream(socket)?.unread ?? -EBADF
  }

  sendBufferSize(socket: Socket): number {
    return this.#stream(socket)?.sendBufferSize ?? -EBADF
  }

  tcpInformation(socket: Socket, into: TcpInformation): number {
    return this.#stream(socket)?.information(into) ?? -EBADF
  }

  keepAlive(socket: Socket, idle: number): number {
    return this.#stream(socket)?.keepAlive(idle) ?? -EBADF
  }

  askCorrespondent(): number {
    return -Errno.EPROTONOSUPPORT
  }

  shutdownWrite(socket: Socket): number {
    return this.#stream(socket)?.shutdownWrite() ?? -EBADF
  }

  reset(socket: Socket): void {
    const connection = this.#stream(socket)
    if (connection === undefined) return
    this.#remove(socket, connection)
    connection.reset()
  }

  udpListen(..._: Parameters<Sockets["udpListen"]>): Socket {
    return -Errno.EPROTONOSUPPORT as Socket
  }

  separatesLoopback(): boolean {
    return false
  }

  handOver(socket: Socket, side: SideRef): void {
    this.#datagrams(socket)?.handOver(side)
  }

  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    return this.#datagrams(socket)?.receive(this.arena, batch, count, ends) ?? -EBADF
  }

  sendDatagramsTo(
    socket: Socket,
    demiflow: Demiflow,
    scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number {
    return this.#datagrams(socket)?.sendTo(this.arena, demiflow, scope, batch, first, count) ?? -EBADF
  }

  pingBind(): Socket {
    return -Errno.EACCES as Socket
  }

  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    return this.#datagrams(socket)?.send(this.arena, batch, first, count) ?? -EBADF
  }

  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number {
    return this.#datagrams(socket)?.receive(this.arena, batch, count) ?? -EBADF
  }

  receiveError(): number {
    return 0
  }

  setHopLimit(socket: Socket, _isV4: boolean, hopLimit: number): number {
    return this.#datagrams(socket)?.setHopLimit(hopLimit) ?? -Errno.EPROTONOSUPPORT
  }

  setTrafficClass(): number {
    return -Errno.EPROTONOSUPPORT
  }

  setFragmentation(): number {
    return -Errno.EPROTONOSUPPORT
  }

  connectOutcome(socket: Socket): number {
    return this.#stream(socket)?.connectOutcome() ?? -EBADF
  }

  socketError(socket: Socket): number {
    return this.table.get(socket)?.takeError() ?? -EBADF
  }

  boundEnd(socket: Socket, demiflow: Demiflow): number {
    return this.table.get(socket)?.boundEnd(demiflow) ?? -EBADF
  }

  close(socket: Socket): void {
    const found = this.table.get(socket)
    if (found === undefined) return
    this.#remove(socket, found)
    found.close()
  }

  /** True if the limit of sockets is reached. */
  protected get isFull(): boolean {
    return this.mostSockets !== undefined && this.table.size >= this.mostSockets
  }

  /** Registers a connection; while it is open, the loop keeps the process alive for deadlines. */
  protected addStream(stream: StreamSocket): Socket {
    this.#loop.hold()
    return this.table.add(stream)
  }

  /** Opens and registers a UDP socket, or returns the negated error number. */
  protected addDatagrams(open: () => DatagramSocket | number): Socket {
    if (this.isFull) return -Errno.EMFILE as Socket
    const opened = open()
    return typeof opened === "number" ? (opened as Socket) : this.table.add(opened)
  }

  #stream(socket: Socket): StreamSocket | undefined {
    const found = this.table.get(socket)
    return found instanceof StreamSocket ? found : undefined
  }

  #datagrams(socket: Socket): DatagramSocket | undefined {
    const found = this.table.get(socket)
    return found instanceof DatagramSocket ? found : undefined
  }

  #remove(socket: Socket, found: HostSocket): void {
    this.table.remove(socket)
    if (found instanceof StreamSocket) this.#loop.release()
  }
}
