/**
 * A host in memory: sockets that behave like those of Linux, and a scripted world behind them.
 *
 * Time is virtual; random events are drawn from a seed. A use of a socket after close, which on a real
 * host would hit the next owner of the descriptor, is recorded in {@link SimulatedSockets.violations}.
 */
import {
  type Arena,
  type DatagramBatch,
  type Demiflow,
  Errno,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  type SocketError,
  SocketEvent,
  type Sockets,
  type TcpInformation,
  type Vectors,
} from "@demiflow/core"
import { DatagramCalls } from "./datagram-calls.ts"
import { DatagramSocket } from "./datagram-socket.ts"
import { EBADF, HostParts } from "./host-parts.ts"
import type { Network } from "./network.ts"
import { copyOut } from "./queued-error.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import type { SimulatedSocketsOptions } from "./simulated-sockets-options.ts"
import { KERNEL_TRAFFIC_CLASS } from "./socket-marks.ts"
import type { SocketTable } from "./socket-table.ts"
import { TcpCalls } from "./tcp-calls.ts"
import { TcpSocket } from "./tcp-socket.ts"
import { World } from "./world.ts"

const ERROR_SPACE = 1_024

/** A host without a kernel. */
export class SimulatedSockets implements Sockets {
  readonly arena: Arena
  readonly world: World
  /** Events of the world that are pending. Two hosts of one machine share them. */
  readonly network: Network
  /** True while ping sockets are refused. */
  forbidsPing: boolean
  readonly #parts: HostParts
  readonly #kernel: SimulatedKernel
  readonly #sockets: SocketTable
  readonly #tcp: TcpCalls
  readonly #datagrams: DatagramCalls
  readonly #errorOffset: number

  constructor(options: SimulatedSocketsOptions) {
    this.arena = options.arena
    this.forbidsPing = options.forbidsPing ?? false
    this.#parts = new HostParts(options)
    this.network = this.#parts.network
    this.#kernel = this.#parts.kernel
    this.#sockets = this.#parts.sockets
    this.#errorOffset = options.arena.reserve(ERROR_SPACE)
    this.world = new World({
      deliver: (ends, bytes, arrival) => this.#datagrams.deliver(ends, bytes, arrival),
      connect: (ends, connection) => this.#tcp.connectFromWorld(ends, connection),
    })
    this.#tcp = new TcpCalls(this.#parts, this.world)
    this.#datagrams = new DatagramCalls(this.#parts, this.world)
  }

  /** Sockets opened so far for flows. Probes that a plug-in opens without a side don't count. */
  get opened(): number {
    return this.#parts.opened
  }

  /** Misuses of sockets: uses after close. Empty if all is well. */
  get violations(): string[] {
    return this.#sockets.violations
  }

  /** Number of sockets that are open. */
  get openSockets(): number {
    return this.#sockets.open.size
  }

  /** Of these, the number that listen. */
  get listeningSockets(): number {
    return this.#sockets.listeningCount
  }

  /** True if events wait to be reported. */
  get hasEvents(): boolean {
    return this.#kernel.hasListed
  }

  /** True if the socket is open, and one of this host's. */
  hasSocket(socket: Socket): boolean {
    return this.#sockets.open.has(socket)
  }

  /** A TCP socket, for pipes. If no socket has this number, a misuse of `call` is recorded. */
  findTcp(socket: Socket, call: string): TcpSocket | undefined {
    return this.#sockets.find(socket, TcpSocket, call)
  }

  /**
   * Reports the events that have happened since the last call, each socket's together. Returns the number of reports.
   *
   * @param deliverToListener absent where nothing listens
   */
  poll(
    deliver: (side: SideRef, events: number) => void,
    deliverToListener?: (listener: ListenerRef, events: number) => void,
  ): number {
    const { random, faults } = this.#kernel
    this.#parts.called()
    // As `epoll_wait`: all events are gathered before the first is handled, and may be out of date when they are.
    const gathered = this.#kernel.takeListed().map((socket) => ({ socket, events: socket.readiness() }))
    let reports = 0
    for (const { socket, events } of gathered) {
      // The socket may have been closed while an earlier event was handled: then nothing is reported.
      if (events === 0 || !socket.isOpen) continue
      if (socket.listening === undefined) deliver(socket.side, events)
      else deliverToListener?.(socket.listening.ref, events)
      reports++
    }
    if (reports > 0 && random.chance(faults.spuriousEvent)) this.#reportForNoReason(deliver, deliverToListener)
    return reports
  }

  tcpConnect(side: SideRef, demiflow: Demiflow, hopLimit = 0, trafficClass = 0, queuesErrors = false): Socket {
    return this.#tcp.connect(side, demiflow, hopLimit, trafficClass, queuesErrors)
  }

  stopQueuingErrors(socket: Socket): void {
    const tcp = this.#sockets.find(socket, TcpSocket, "stopQueuingErrors")
    if (tcp !== undefined) tcp.queuesErrors = false
  }

  acceptedTrafficClass(socket: Socket): number {
    return this.#sockets.find(socket, TcpSocket, "acceptedTrafficClass")?.synTrafficClass ?? 0
  }

  send(socket: Socket, vectors: Vectors, first: number, count: number): number {
    return this.#tcp.send(socket, vectors, first, count)
  }

  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    return this.#tcp.peek(socket, vectors, first, count, skip)
  }

  discard(socket: Socket, length: number): number {
    return this.#sockets.find(socket, TcpSocket, "discard")?.discard(length) ?? -EBADF
  }

  unacknowledged(socket: Socket): number {
    return this.#sockets.find(socket, TcpSocket, "unacknowledged")?.unacknowledged ?? -EBADF
  }

  unread(socket: Socket): number {
    return this.#sockets.find(socket, TcpSocket, "unread")?.unread ?? -EBADF
  }

  sendBufferSize(socket: Socket): number {
    if (this.#sockets.find(socket, TcpSocket, "sendBufferSize") === undefined) return -EBADF
    return this.#parts.options.sendBufferSize ?? Math.ceil((this.#parts.options.sendBuffer ?? 131_072) * 1.25)
  }

  tcpInformation(socket: Socket, into: TcpInformation): number {
    return this.#sockets.find(socket, TcpSocket, "tcpInformation")?.information(into) ?? -EBADF
  }

  keepAlive(socket: Socket, idle: number): number {
    return this.#sockets.find(socket, TcpSocket, "keepAlive")?.keepAlive(idle) ?? -EBADF
  }

  askCorrespondent(socket: Socket): number {
    return this.#sockets.find(socket, TcpSocket, "askCorrespondent")?.askCorrespondent() ?? -EBADF
  }

  shutdownWrite(socket: Socket): number {
    return this.#sockets.find(socket, TcpSocket, "shutdownWrite")?.shutdownWrite() ?? -EBADF
  }

  reset(socket: Socket): void {
    const tcp = this.#sockets.find(socket, TcpSocket, "reset")
    if (tcp === undefined) return
    tcp.reset()
    this.close(socket)
  }

  tcpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    return this.#tcp.listen(listener, end)
  }

  tcpAccept(listening: Socket, demiflow: Demiflow): Socket {
    return this.#tcp.accept(listening, demiflow)
  }

  connectionsWaiting(listening: Socket): number {
    return this.#tcp.connectionsWaiting(listening)
  }

  watch(socket: Socket, side: SideRef): number {
    return this.#tcp.watch(socket, side)
  }

  udpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    return this.#datagrams.udpListen(listener, end)
  }

  udpBind(side: SideRef, demiflow: Demiflow): Socket {
    return this.#datagrams.udpBind(side, demiflow)
  }

  separatesLoopback(): boolean {
    return false
  }

  handOver(socket: Socket, side: SideRef): void {
    this.#sockets.find<DatagramSocket>(socket, DatagramSocket, "handOver")?.handOver(side)
  }

  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    return this.#datagrams.receiveFromAnyone(socket, batch, ends, count)
  }

  udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    return this.#datagrams.udpOpen(side, demiflow)
  }

  pingBind(side: SideRef, demiflow: Demiflow): Socket {
    return this.forbidsPing ? (-Errno.EACCES as Socket) : this.#datagrams.pingBind(side, demiflow)
  }

  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    return this.#datagrams.sendDatagrams(socket, batch, first, count)
  }

  sendDatagramsTo(
    socket: Socket,
    demiflow: Demiflow,
    _scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number {
    return this.#datagrams.sendDatagramsTo(socket, demiflow, batch, first, count)
  }

  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number {
    return this.#datagrams.receiveDatagrams(socket, batch, count)
  }

  receiveError(socket: Socket, into: SocketError): number {
    const entry = this.#sockets.find(socket, undefined, "receiveError")?.takeQueuedError()
    if (entry === undefined) return 0
    copyOut(entry, into, this.arena, this.#errorOffset)
    return 1
  }

  setHopLimit(socket: Socket, _isV4: boolean, hopLimit: number): number {
    const found = this.#sockets.find(socket, undefined, "setHopLimit")
    if (found === undefined) return -EBADF
    if (hopLimit < 0 || hopLimit > 255) return -Errno.EINVAL
    found.marks.hopLimit = hopLimit
    return 0
  }

  setTrafficClass(socket: Socket, _isV4: boolean, trafficClass: number): number {
    const found = this.#sockets.find(socket, undefined, "setTrafficClass")
    if (found === undefined) return -EBADF
    found.marks.trafficClass = found instanceof TcpSocket ? trafficClass & ~KERNEL_TRAFFIC_CLASS : trafficClass
    return 0
  }

  setFragmentation(socket: Socket, _isV4: boolean, isAllowed: boolean): number {
    const datagrams = this.#sockets.find<DatagramSocket>(socket, DatagramSocket, "setFragmentation")
    if (datagrams === undefined) return -EBADF
    datagrams.marks.isFragmentable = isAllowed
    return 0
  }

  connectOutcome(socket: Socket): number {
    return this.#sockets.find(socket, TcpSocket, "connectOutcome")?.connectOutcome() ?? -EBADF
  }

  socketError(socket: Socket): number {
    return this.#sockets.find(socket, undefined, "socketError")?.takeError() ?? -EBADF
  }

  boundEnd(socket: Socket, demiflow: Demiflow): number {
    const found = this.#sockets.find(socket, undefined, "boundEnd")
    if (found === undefined) return -EBADF
    demiflow.forwardingAddress.copyFrom(found.demiflow.forwardingAddress)
    demiflow.forwardingPort = found.demiflow.forwardingPort
    return 0
  }

  close(socket: Socket): void {
    const found = this.#sockets.find(socket, undefined, "close")
    if (found === undefined) return
    found.isOpen = false
    this.#sockets.open.delete(socket)
    found.closed()
  }

  #reportForNoReason(
    deliver: (side: SideRef, events: number) => void,
    deliverToListener: ((listener: ListenerRef, events: number) => void) | undefined,
  ): void {
    const able = [...this.#sockets.open.values()].filter(
      (socket) => socket.isWatched && socket.mayBeReportedForNoReason,
    )
    if (able.length === 0) return
    const { side, listening } = this.#kernel.random.pick(able)
    if (listening === undefined) deliver(side, SocketEvent.readable | SocketEvent.writable)
    else deliverToListener?.(listening.ref, SocketEvent.readable)
  }
}
