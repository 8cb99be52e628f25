import type {
  Arena,
  DatagramBatch,
  Demiflow,
  ListenerRef,
  ListeningEnd,
  SideRef,
  Socket,
  SocketError,
  SocketEvents,
  Sockets,
  TcpInformation,
  Vectors,
} from "@demiflow/core"
import { Errno } from "@demiflow/core"
import { SocketProtocol, SocketType } from "./constants.ts"
import { DATAGRAM_ARENA_BYTES, DatagramSockets } from "./datagram-sockets.ts"
import { DescriptorShare, DescriptorShares, descriptorLimit } from "./descriptor-shares.ts"
import { ErrorQueue } from "./error-queue.ts"
import type { EventLoop } from "./event-loop.ts"
import { ListeningSockets } from "./listening-sockets.ts"
import type { Native } from "./native.ts"
import { PingSockets } from "./ping-sockets.ts"
import { type OutboundOptions, SocketOpener } from "./socket-opener.ts"
import { TcpSockets } from "./tcp-sockets.ts"
import { RECEIVER_ARENA_BYTES, UnconnectedReceiver } from "./unconnected-receiver.ts"

/** Arena bytes that a {@link LinuxSockets} and an event loop need at most. */
export const LINUX_SOCKETS_ARENA_BYTES: number = DATAGRAM_ARENA_BYTES + RECEIVER_ARENA_BYTES + 256 * 1024

/** How sockets leave the host, and which kernel features not to use. */
export interface LinuxSocketsOptions extends OutboundOptions {
  /** False to not use SO_PEEK_OFF even where the kernel has it. */
  readonly usePeekOffset?: boolean
  /**
   * The shares of the process, common to all its hosts. If absent: shares of the limit of open files, for this host
   * alone.
   */
  readonly shares?: DescriptorShares
}

/** Sockets of the host, by the Linux kernel. Their events come from the loop. */
export class LinuxSockets implements Sockets {
  readonly arena: Arena
  readonly mostSockets: number
  readonly #sockets: SocketOpener
  readonly #tcp: TcpSockets
  readonly #datagrams: DatagramSockets
  readonly #pings: PingSockets
  readonly #errors: ErrorQueue
  readonly #listening: ListeningSockets
  readonly #receiver: UnconnectedReceiver
  readonly #shares: DescriptorShares
  /** Whether accepted connections begin outside: those of a namespace are the guest's. */
  readonly #isOutside: boolean

  constructor(native: Native, arena: Arena, loop: EventLoop, options: LinuxSocketsOptions = {}) {
    this.arena = arena
    this.#shares = options.shares ?? new DescriptorShares(native, descriptorLimit())
    this.#sockets = new SocketOpener(native, arena, loop, this.#shares, options)
    this.#tcp = new TcpSockets(native, arena, options.usePeekOffset ?? true)
    this.#datagrams = new DatagramSockets(this.#sockets)
    this.#pings = new PingSockets(this.#sockets)
    this.#errors = new ErrorQueue(native, arena)
    this.#listening = new ListeningSockets(this.#sockets)
    this.#receiver = new UnconnectedReceiver(this.#sockets, this.#listening)
    this.mostSockets = this.#shares.limit
    this.#isOutside = options.sockets === undefined
  }

  deliverTo(events: SocketEvents | undefined): void {
    this.#sockets.deliverTo(events)
  }

  tcpConnect(side: SideRef, demiflow: Demiflow, hopLimit = 0, trafficClass = 0, queuesErrors = false): Socket {
    const sockets = this.#sockets
    const { isV4 } = demiflow
    const descriptor = sockets.open(demiflow, SocketType.stream, SocketProtocol.tcp)
    if (descriptor < 0) return descriptor as Socket
    this.#tcp.adopt(descriptor, isV4)
    if (hopLimit > 0) sockets.setHopLimit(descriptor, isV4, hopLimit)
    if (trafficClass > 0) sockets.setTrafficClass(descriptor, isV4, trafficClass)
    if (queuesErrors) sockets.queueErrors(descriptor, isV4, true)
    const { forwardingAddress, forwardingPort } = demiflow
    if (forwardingPort !== 0) sockets.shareAddress(descriptor)
    let result = sockets.bind(descriptor, forwardingAddress, forwardingPort, SocketProtocol.tcp)
    if (result === 0) result = sockets.connect(descriptor, demiflow)
    if (result < 0 && result !== -Errno.EINPROGRESS) return sockets.abandon(descriptor, result)
    // Watched only now: a socket that has not begun to connect reports a hang-up.
    return sockets.watchStream(descriptor, side)
  }

  stopQueuingErrors(socket: Socket, isV4: boolean): void {
    this.#sockets.queueErrors(socket, isV4, false)
  }

  acceptedTrafficClass(socket: Socket): number {
    return this.#tcp.acceptedTrafficClass(socket)
  }

  send(socket: Socket, vectors: Vectors, first: number, count: number): number {
    return this.#tcp.send(socket, vectors, first, count)
  }

  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    return this.#tcp.peek(socket, vectors, first, count, skip)
  }

  discard(socket: Socket, length: number): number {
    return this.#tcp.discard(socket, length)
  }

  unacknowledged(socket: Socket): number {
    return this.#tcp.unacknowledged(socket)
  }

  unread(socket: Socket): number {
    return this.#tcp.unread(socket)
  }

  sendBufferSize(socket: Socket): number {
    return this.#tcp.sendBufferSize(socket)
  }

  tcpInformation(socket: Socket, into: TcpInformation): number {
    return this.#tcp.tcpInformation(socket, into)
  }

  keepAlive(socket: Socket, idle: number): number {
    return this.#tcp.keepAlive(socket, idle)
  }

  askCorrespondent(socket: Socket): number {
    return this.#tcp.askCorrespondent(socket)
  }

  shutdownWrite(socket: Socket): number {
    return this.#tcp.shutdownWrite(socket)
  }

  reset(socket: Socket): void {
    this.#tcp.resetOnClose(socket)
    this.close(socket)
  }

  tcpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    const descriptor = this.#listening.listenTcp(end, (socket) => this.#tcp.setListeningOptions(socket))
    return this.#watchListener(descriptor, listener, end)
  }

  tcpAccept(listening: Socket, demiflow: Demiflow): Socket {
    // Without a descriptor for it, a connection waits in the kernel's queue.
    if (this.#isOutside && !this.#shares.allowsNext(DescriptorShare.fromOutside)) return -Errno.EMFILE as Socket
    const accepted = this.#listening.accept(listening, demiflow)
    if (accepted < 0) return accepted as Socket
    this.#shares.made(accepted)
    this.#tcp.adoptAccepted(accepted, this.#listening.get(listening)?.isV4 ?? demiflow.isV4)
    return accepted as Socket
  }

  connectionsWaiting(listening: Socket): number {
    return this.#tcp.connectionsWaiting(listening)
  }

  watch(socket: Socket, side: SideRef): number {
    return this.#sockets.watchAccepted(socket, side)
  }

  udpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    const descriptor = this.#listening.listenUdp(end)
    if (descriptor >= 0) {
      this.#datagrams.enlarge(descriptor)
      if (end.address?.isV4 !== false) this.#datagrams.hearNotes(descriptor, true)
      if (end.address?.isV4 !== true) this.#datagrams.hearNotes(descriptor, false)
    }
    return this.#watchListener(descriptor, listener, end)
  }

  udpBind(side: SideRef, demiflow: Demiflow): Socket {
    return this.#watchExchange(this.#datagrams.openUnconnected(demiflow), side)
  }

  separatesLoopback(isV4: boolean): boolean {
    return this.#sockets.isHeld(isV4)
  }

  handOver(socket: Socket, side: SideRef): void {
    this.#sockets.handOver(socket, side)
  }

  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    const received = this.#receiver.receive(socket, batch, ends, count)
    if (received > 1 || received === count) this.#datagrams.expectBatches(socket)
    return received
  }

  sendDatagramsTo(
    socket: Socket,
    demiflow: Demiflow,
    scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number {
    this.#pings.mark(socket, batch.marks)
    return this.#datagrams.sendTo(socket, demiflow, scope, batch, first, count)
  }

  udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    return this.#watchExchange(this.#datagrams.openUdp(demiflow), side)
  }

  pingBind(side: SideRef, demiflow: Demiflow): Socket {
    const descriptor = this.#pings.open(demiflow)
    if (descriptor < 0) return descriptor as Socket
    this.#datagrams.adoptPing(descriptor, demiflow.isV4)
    const socket = this.#watchExchange(descriptor, side)
    if (socket < 0) this.#pings.forget(descriptor)
    return socket
  }

  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    return this.#datagrams.send(socket, batch, first, count)
  }

  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number {
    return this.#datagrams.receive(socket, batch, count)
  }

  receiveError(socket: Socket, into: SocketError): number {
    return this.#errors.receive(socket, into)
  }

  setHopLimit(socket: Socket, isV4: boolean, hopLimit: number): number {
    return this.#datagrams.setHopLimit(socket, isV4, hopLimit)
  }

  setTrafficClass(socket: Socket, isV4: boolean, trafficClass: number): number {
    return this.#sockets.setTrafficClass(socket, isV4, trafficClass)
  }

  setFragmentation(socket: Socket, isV4: boolean, isAllowed: boolean): number {
    return this.#datagrams.setFragmentation(socket, isV4, isAllowed)
  }

  connectOutcome(socket: Socket): number {
    return this.#tcp.connectOutcome(socket)
  }

  socketError(socket: Socket): number {
    return this.#sockets.socketError(socket)
  }

  boundEnd(socket: Socket, demiflow: Demiflow): number {
    return this.#sockets.boundEnd(socket, demiflow)
  }

  close(socket: Socket): void {
    this.#listening.forget(socket)
    this.#pings.forget(socket)
    this.#sockets.close(socket)
  }

  #watchExchange(descriptor: number, side: SideRef): Socket {
    return descriptor < 0 ? (descriptor as Socket) : this.#sockets.watchDatagrams(descriptor, side)
  }

  #watchListener(descriptor: number, listener: ListenerRef, end: ListeningEnd): Socket {
    if (descriptor < 0) return descriptor as Socket
    if (end.isAuto !== true) this.#shares.last(descriptor)
    const share = this.#isOutside ? DescriptorShare.autoPorts : DescriptorShare.autoPortsInside
    const isAllowed = end.isAuto !== true || this.#shares.allows(share, descriptor)
    const socket = isAllowed
      ? this.#sockets.watchListener(descriptor, listener)
      : this.#sockets.abandon(descriptor, -Errno.EMFILE)
    if (socket < 0) this.#listening.forget(descriptor)
    return socket
  }
}
