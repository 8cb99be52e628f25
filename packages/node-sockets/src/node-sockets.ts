/** `Sockets` of `@demiflow/core`: finds the socket that a call names, and what it can do. */
import {
  type Arena,
  type DatagramBatch,
  type Demiflow,
  Errno,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  type SocketEvents,
  type Sockets,
  type SocketsCapabilities,
  SocketsInUseError,
  type TcpInformation,
  type Vectors,
} from "@demiflow/core"
import { NODE_CAPABILITIES } from "./capabilities.ts"
import { EventList, type HostSocket } from "./host-socket.ts"
import { Lingering } from "./lingering.ts"
import { areConflicting, checkListeningEnd } from "./listening-ends.ts"
import type { NodeLoop } from "./node-loop.ts"
import { EBADF } from "./socket-errors.ts"
import { SocketTable } from "./socket-table.ts"
import { TcpConnection } from "./tcp-connection.ts"
import { TcpListener } from "./tcp-listener.ts"
import { UdpSocket } from "./udp-socket.ts"

/** Options of {@link NodeSockets}. */
export interface NodeSocketsOptions {
  /** Sockets that may be open at once; no limit if not given. Protocols keep to shares of it. */
  readonly mostSockets?: number
  /**
   * Called when it turns out that a socket can't listen where `tcpListen` was asked to, with a positive error number:
   * `Errno.EADDRINUSE`, for example.
   */
  readonly onListenError?: (end: ListeningEnd, errno: number) => void
}

/** Sockets of the host, by `node:net` and `node:dgram`. Their events come from the loop. */
export class NodeSockets implements Sockets {
  readonly arena: Arena
  readonly capabilities: SocketsCapabilities = NODE_CAPABILITIES
  readonly mostSockets?: number
  readonly #loop: NodeLoop
  readonly #onListenError: NodeSocketsOptions["onListenError"]
  readonly #sockets = new SocketTable()
  readonly #events: EventList
  readonly #lingering = new Lingering()

  constructor(arena: Arena, loop: NodeLoop, options: NodeSocketsOptions = {}) {
    this.arena = arena
    this.#loop = loop
    this.#onListenError = options.onListenError
    if (options.mostSockets !== undefined) this.mostSockets = options.mostSockets
    this.#events = new EventList(loop.wake)
  }

  /** Sockets that are open. */
  get openSockets(): number {
    return this.#sockets.size
  }

  /** See core's `Sockets`. Throws `SocketsInUseError`. */
  deliverTo(events: SocketEvents | undefined): void {
    if (events !== undefined && this.#events.receiver !== undefined) throw new SocketsInUseError()
    this.#events.receiver = events
    if (events === undefined) this.#loop.removeSource(this.#events.deliver)
    else this.#loop.addSource(this.#events.deliver)
  }

  tcpConnect(side: SideRef, demiflow: Demiflow): Socket {
    if (this.#isFull) return -Errno.EMFILE as Socket
    const connection = TcpConnection.connect(this.#events, this.#lingering, demiflow)
    connection.side = side
    return this.#addConnection(connection)
  }

  stopQueuingErrors(): void {}

  tcpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    const error = this.#isFull ? -Errno.EMFILE : checkListeningEnd(end)
    if (error < 0) return error as Socket
    for (const other of this.#sockets) {
      if (other instanceof TcpListener && areConflicting(other.end, end)) return -Errno.EADDRINUSE as Socket
    }
    const onError = (errno: number) => this.#onListenError?.(end, errno)
    return this.#sockets.add(new TcpListener(this.#events, listener, end, onError))
  }

  tcpAccept(listening: Socket, demiflow: Demiflow): Socket {
    const listener = this.#sockets.get(listening)
    if (!(listener instanceof TcpListener)) return -EBADF as Socket
    if (this.#isFull) return -Errno.EMFILE as Socket
    const accepted = listener.accept(this.#events, this.#lingering, demiflow)
    return typeof accepted === "number" ? (accepted as Socket) : this.#addConnection(accepted)
  }

  connectionsWaiting(listening: Socket): number {
    const listener = this.#sockets.get(listening)
    return listener instanceof TcpListener ? listener.waiting : -EBADF
  }

  acceptedTrafficClass(): number {
    return 0
  }

  watch(socket: Socket, side: SideRef): number {
    const connection = this.#tcp(socket)
    if (connection === undefined) return -EBADF
    connection.side = side
    connection.watched()
    return 0
  }

  send(socket: Socket, vectors: Vectors, first: number, count: number): number {
    return this.#tcp(socket)?.send(this.arena, vectors, first, count) ?? -EBADF
  }

  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    return this.#tcp(socket)?.peek(this.arena, vectors, first, count, skip) ?? -EBADF
  }

  discard(socket: Socket, length: number): number {
    return this.#tcp(socket)?.discard(length) ?? -EBADF
  }

  unacknowledged(socket: Socket): number {
    return this.#tcp(socket)?.unacknowledged ?? -EBADF
  }

  unread(socket: Socket): number {
    return this.#tcp(socket)?.unread ?? -EBADF
  }

  sendBufferSize(socket: Socket): number {
    return this.#tcp(socket)?.sendBufferSize ?? -EBADF
  }

  tcpInformation(socket: Socket, into: TcpInformation): number {
    return this.#tcp(socket)?.information(into) ?? -EBADF
  }

  keepAlive(socket: Socket, idle: number): number {
    return this.#tcp(socket)?.keepAlive(idle) ?? -EBADF
  }

  askCorrespondent(): number {
    return -Errno.EPROTONOSUPPORT
  }

  shutdownWrite(socket: Socket): number {
    return this.#tcp(socket)?.shutdownWrite() ?? -EBADF
  }

  reset(socket: Socket): void {
    const connection = this.#tcp(socket)
    if (connection === undefined) return
    this.#remove(socket, connection)
    connection.reset()
  }

  udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    return this.#addUdp(() => UdpSocket.connected(this.#events, side, demiflow))
  }

  udpBind(side: SideRef, demiflow: Demiflow): Socket {
    return this.#addUdp(() => UdpSocket.bound(this.#events, side, demiflow))
  }

  udpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    const error = checkListeningEnd(end)
    return error < 0 ? (error as Socket) : this.#addUdp(() => UdpSocket.listening(this.#events, listener, end))
  }

  separatesLoopback(): boolean {
    return false
  }

  handOver(socket: Socket, side: SideRef): void {
    this.#udp(socket)?.handOver(side)
  }

  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    return this.#udp(socket)?.receive(this.arena, batch, count, ends) ?? -EBADF
  }

  sendDatagramsTo(
    socket: Socket,
    demiflow: Demiflow,
    _scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number {
    return this.#udp(socket)?.sendTo(this.arena, demiflow, batch, first, count) ?? -EBADF
  }

  pingBind(): Socket {
    return -Errno.EACCES as Socket
  }

  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    return this.#udp(socket)?.send(this.arena, batch, first, count) ?? -EBADF
  }

  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number {
    return this.#udp(socket)?.receive(this.arena, batch, count) ?? -EBADF
  }

  receiveError(): number {
    return 0
  }

  setHopLimit(): number {
    return -Errno.EPROTONOSUPPORT
  }

  setTrafficClass(): number {
    return -Errno.EPROTONOSUPPORT
  }

  setFragmentation(): number {
    return -Errno.EPROTONOSUPPORT
  }

  connectOutcome(socket: Socket): number {
    return this.#tcp(socket)?.connectOutcome() ?? -EBADF
  }

  socketError(socket: Socket): number {
    return this.#sockets.get(socket)?.takeError() ?? -EBADF
  }

  boundEnd(socket: Socket, demiflow: Demiflow): number {
    return this.#sockets.get(socket)?.boundEnd(demiflow) ?? -EBADF
  }

  close(socket: Socket): void {
    const found = this.#sockets.get(socket)
    if (found === undefined) return
    this.#remove(socket, found)
    found.close()
  }

  get #isFull(): boolean {
    return this.mostSockets !== undefined && this.#sockets.size >= this.mostSockets
  }

  #tcp(socket: Socket): TcpConnection | undefined {
    const found = this.#sockets.get(socket)
    return found instanceof TcpConnection ? found : undefined
  }

  #udp(socket: Socket): UdpSocket | undefined {
    const found = this.#sockets.get(socket)
    return found instanceof UdpSocket ? found : undefined
  }

  #addConnection(connection: TcpConnection): Socket {
    this.#loop.hold()
    return this.#sockets.add(connection)
  }

  #addUdp(open: () => UdpSocket | number): Socket {
    if (this.#isFull) return -Errno.EMFILE as Socket
    const opened = open()
    return typeof opened === "number" ? (opened as Socket) : this.#sockets.add(opened)
  }

  #remove(socket: Socket, found: HostSocket): void {
    this.#sockets.remove(socket)
    if (found instanceof TcpConnection) this.#loop.release()
  }
}
