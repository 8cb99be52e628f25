/**
 * A host in memory: sockets that behave as Linux' do, and a scripted world behind them.
 *
 * Time is virtual; what happens by chance is drawn from a seed. A use of a socket after it was closed, which on a real
 * host would hit whoever got the descriptor next, is recorded in {@link SimulatedHost.violations}.
 */
import {
  type Address,
  type Arena,
  type DatagramBatch,
  type Demiflow,
  Errno,
  type Host,
  HostEvent,
  type ListenerRef,
  type ListeningEnd,
  NO_SIDE,
  NO_SOCKET,
  type SideRef,
  type Socket,
  type SocketError,
  type TcpInformation,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
  type Vectors,
} from "@demiflow/core"
import { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import { Bindings } from "./bindings.ts"
import { DatagramSocket, PingSocket, UdpSocket } from "./datagram-socket.ts"
import { copyEnds } from "./ends.ts"
import { shakeHands } from "./inbound-connection.ts"
import { Network } from "./network.ts"
import { copyOut, queuedError } from "./queued-error.ts"
import { type HostFaults, NO_HOST_FAULTS, SimulatedKernel } from "./simulated-kernel.ts"
import type { SimulatedSocket } from "./simulated-socket.ts"
import { DEFAULT_HOP_LIMIT } from "./socket-marks.ts"
import { SocketTable } from "./socket-table.ts"
import { TcpListeningSocket } from "./tcp-listening-socket.ts"
import { TcpSocket, type TcpSocketSizes } from "./tcp-socket.ts"
import { type UnconnectedEnd, UnconnectedUdpSocket } from "./unconnected-udp-socket.ts"
import { type ArrivalOptions, toAddress, World, type WorldConnectOptions } from "./world.ts"
import { outcomeErrors, WorldConnection, WorldEnd } from "./world-connection.ts"

/** How a simulated host is made. */
export interface SimulatedHostOptions {
  readonly clock: VirtualClock
  readonly arena: Arena
  /** Where chance comes from; only faults and jitter draw from it. */
  readonly random?: SeededRandom
  /** Round trip to everybody in the world, milliseconds. 0 by default: everything happens at once, in order. */
  readonly rtt?: number
  /** Milliseconds that each packet may take longer, by chance. */
  readonly jitter?: number
  /** Payload bytes that a TCP send buffer takes. */
  readonly sendBuffer?: number
  /** What is told as a send buffer's size, which on Linux counts overhead as well: more than fits by default. */
  readonly sendBufferSize?: number
  /** Payload bytes that a TCP receive buffer takes. */
  readonly receiveBuffer?: number
  /** Payload bytes that a datagram socket's receive buffer takes. */
  readonly datagramBuffer?: number
  /** Sockets that may be open at once; one more is refused with EMFILE. */
  readonly descriptors?: number
  /** Milliseconds after which a connection that nobody answers fails. Linux' default by default. */
  readonly connectTimeout?: number
  /** The host's own addresses; the first of each family is where it connects from. */
  readonly addresses?: readonly (Address | string)[]
  /** True if ping sockets are refused (as by `net.ipv4.ping_group_range`). */
  readonly forbidsPing?: boolean
  /** Names of its interfaces; `eth0` and `lo` by default. What arrives from outside arrives over the first. */
  readonly interfaces?: readonly string[]
  /** Connections that may wait at a listening socket; 128 by default. */
  readonly backlog?: number
  /** True if equal datagrams that wait are handed over together (as with UDP_GRO). */
  readonly coalescesDatagrams?: boolean
  /** Number of its first socket, 3 by default. Two hosts of one process have numbers far apart. */
  readonly firstDescriptor?: number
  readonly faults?: Partial<HostFaults>
}

const EBADF = 9
const EEXIST = 17
const EDESTADDRREQ = 89
const DEFAULT_BUFFER = 131_072
/** The two bits of the traffic class that a TCP socket's kernel has for itself (RFC 3168). */
const ECN = 0x03
const TCP_HEADER_LENGTH = 20
const NO_DESCRIPTORS = -Errno.EMFILE as Socket
const ERROR_SPACE = 1_024

/** A host without a kernel. */
export class SimulatedHost implements Host {
  readonly arena: Arena
  readonly world: World
  /** Sockets opened so far for flows: those that a plugin opens without a side, to find out if it may, aside. */
  opened = 0
  /** Ping sockets are refused while this is true. */
  forbidsPing: boolean
  readonly #kernel: SimulatedKernel
  readonly #network: Network
  readonly #options: SimulatedHostOptions
  readonly #sockets: SocketTable
  readonly #bindings: Bindings
  readonly #errorOffset: number

  constructor(options: SimulatedHostOptions) {
    const random = options.random ?? new SeededRandom(1)
    this.#options = options
    this.forbidsPing = options.forbidsPing ?? false
    this.arena = options.arena
    this.#kernel = new SimulatedKernel(options.clock, random, { ...NO_HOST_FAULTS, ...options.faults })
    const addresses = (options.addresses ?? ["192.0.2.1", "2001:db8::1"]).map(toAddress)
    this.#network = new Network(options.clock, random, this.#kernel.faults.betweenCalls)
    this.#sockets = new SocketTable(() => this.#network.call(), options.descriptors, options.firstDescriptor)
    this.#bindings = new Bindings(this.#sockets.open, addresses, options.interfaces ?? ["eth0", "lo"])
    this.#errorOffset = options.arena.reserve(ERROR_SPACE)
    this.world = new World({
      deliver: (ends, bytes, options) => this.#deliver(ends, bytes, options),
      connect: (ends, connectOptions) => this.#connectFromWorld(ends, connectOptions),
    })
  }

  /** What was done wrong with sockets: uses after close. Empty if all is well. */
  get violations(): string[] {
    return this.#sockets.violations
  }

  /** Number of sockets that are open. */
  get openSockets(): number {
    return this.#sockets.open.size
  }

  /** Of these, how many listen. */
  get listeningSockets(): number {
    return this.#sockets.listeningCount
  }

  /** True if events wait to be told. */
  get hasEvents(): boolean {
    return this.#kernel.hasListed
  }

  /** True if the socket is open, and one of this host's. */
  hasSocket(socket: Socket): boolean {
    return this.#sockets.open.has(socket)
  }

  /** A TCP socket, for pipes. If there is none by this number, that is recorded as a misuse of `call`. */
  findTcp(socket: Socket, call: string): TcpSocket | undefined {
    return this.#sockets.find(socket, TcpSocket, call)
  }

  /**
   * Tells the events that have happened since the last call, each socket's together. Answers how many were told.
   *
   * @param deliverToListener absent where nothing listens
   */
  poll(
    deliver: (side: SideRef, events: number) => void,
    deliverToListener?: (listener: ListenerRef, events: number) => void,
  ): number {
    const { random, faults } = this.#kernel
    let told = 0
    for (const socket of this.#kernel.takeListed()) {
      // May have been closed while an earlier event was handled: nothing is told of it then.
      const events = socket.isOpen ? socket.readiness() : 0
      if (events === 0) continue
      if (socket.listening === undefined) deliver(socket.side, events)
      else deliverToListener?.(socket.listening.ref, events)
      told++
    }
    if (told > 0 && random.chance(faults.spuriousEvent)) this.#tellForNoReason(deliver, deliverToListener)
    return told
  }

  tcpConnect(side: SideRef, demiflow: Demiflow, hopLimit = 0, trafficClass = 0, queuesErrors = false): Socket {
    const bound = this.#sockets.isFull ? NO_DESCRIPTORS : this.#bindings.bindAlone(demiflow, TcpSocket)
    if (typeof bound === "number") return bound
    const outcome = this.world.outcome(bound)
    if (outcome === "noRoute") return -outcomeErrors.noRoute as Socket
    const { clock } = this.#options
    const socket = new TcpSocket(this.#kernel, this.#sockets.descriptorFor(side), side, bound, this.#tcpSizes)
    socket.marks.hopLimit = hopLimit
    socket.marks.trafficClass = trafficClass & ~ECN
    socket.queuesErrors = queuesErrors
    const hops = this.world.routeTo(bound.correspondentAddress).hops ?? []
    if ((hopLimit || DEFAULT_HOP_LIMIT) <= hops.length) {
      const entry = queuedError(
        "timeExceeded",
        bound,
        toAddress(hops[hopLimit - 1]),
        0,
        new Uint8Array(TCP_HEADER_LENGTH),
      )
      clock.schedule(socket.sizes.rtt, () => socket.reported(entry))
    } else if (outcome === "accept") this.#connect(socket)
    else {
      const delay = outcome === "silent" ? this.#connectTimeout : socket.sizes.rtt
      clock.schedule(delay, () => socket.fail(outcomeErrors[outcome]))
    }
    return this.#open(socket)
  }

  stopQueuingErrors(socket: Socket): void {
    const tcp = this.#sockets.find(socket, TcpSocket, "stopQueuingErrors")
    if (tcp !== undefined) tcp.queuesErrors = false
  }

  acceptedTrafficClass(socket: Socket): number {
    return this.#sockets.find(socket, TcpSocket, "acceptedTrafficClass")?.synTrafficClass ?? 0
  }

  send(socket: Socket, vectors: Vectors, first: number, count: number): number {
    const tcp = this.#sockets.find(socket, TcpSocket, "send")
    if (tcp === undefined) return -EBADF
    let length = 0
    for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
    const bytes = new Uint8Array(length)
    let position = 0
    for (let index = first; index < first + count; index++) {
      const offset = vectors.offsetAt(index)
      bytes.set(this.arena.bytes.subarray(offset, offset + vectors.lengthAt(index)), position)
      position += vectors.lengthAt(index)
    }
    return tcp.send(bytes)
  }

  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    const tcp = this.#sockets.find(socket, TcpSocket, "peek")
    if (tcp === undefined) return -EBADF
    let copied = 0
    for (let index = first; index < first + count; index++) {
      const length = vectors.lengthAt(index)
      if (length === 0) continue
      const offset = vectors.offsetAt(index)
      if (copied > 0 && tcp.unread <= skip + copied) break
      const part = tcp.peek(this.arena.bytes.subarray(offset, offset + length), skip + copied)
      if (part < 0) return copied > 0 ? copied : part
      copied += part
      if (part < length) break
    }
    return copied
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
    return this.#options.sendBufferSize ?? Math.ceil((this.#options.sendBuffer ?? 131_072) * 1.25)
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
    const bound = this.#sockets.isFull ? NO_DESCRIPTORS : this.#bindings.bindListening(end, TcpListeningSocket)
    if (typeof bound === "number") return bound
    const backlog = this.#options.backlog ?? 128
    const descriptor = this.#sockets.newDescriptor()
    return this.#open(new TcpListeningSocket(this.#kernel, descriptor, bound, { ref: listener, end }, backlog))
  }

  tcpAccept(listening: Socket, demiflow: Demiflow): Socket {
    const found = this.#sockets.find(listening, TcpListeningSocket, "tcpAccept")
    if (found === undefined) return -EBADF as Socket
    // As the kernel does, which looks for a descriptor first: the connection goes on waiting.
    if (this.#sockets.isFull) return NO_DESCRIPTORS
    const accepted = found.take()
    if (accepted === undefined) return -Errno.EAGAIN as Socket
    accepted.descriptor = this.#sockets.newDescriptor()
    this.opened++
    copyEnds(accepted.demiflow, demiflow)
    return this.#open(accepted)
  }

  watch(socket: Socket, side: SideRef): number {
    const found = this.#sockets.find(socket, TcpSocket, "watch")
    if (found === undefined) return -EBADF
    if (found.isWatched) {
      this.violations.push(`watch(${socket}): the socket is watched already`)
      return -EEXIST
    }
    found.side = side
    this.#kernel.list(found)
    return 0
  }

  udpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    const bound = this.#sockets.isFull ? NO_DESCRIPTORS : this.#bindings.bindListening(end, UnconnectedUdpSocket)
    if (typeof bound === "number") return bound
    return this.#openUnconnected(bound, { end, listening: { ref: listener, end } })
  }

  udpBind(side: SideRef, demiflow: Demiflow): Socket {
    const end = this.#sockets.isFull ? NO_DESCRIPTORS : this.#bindings.bindUnconnected(demiflow)
    if (typeof end === "number") return end
    const bound = demiflow.clone()
    bound.forwardingPort = end.port
    return this.#openUnconnected(bound, { end: { ...end, address: bound.forwardingAddress }, side })
  }

  separatesLoopback(): boolean {
    return false
  }

  handOver(socket: Socket, side: SideRef): void {
    this.#sockets.find(socket, UnconnectedUdpSocket, "handOver")?.handOver(side)
  }

  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    const unconnected = this.#sockets.find(socket, UnconnectedUdpSocket, "receiveFromAnyone")
    batch.scope.fill(0, 0, count)
    return unconnected?.receive(batch, count, this.arena.bytes, this.#isCoalescing, ends) ?? -EBADF
  }

  udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    const bound = this.#sockets.isFull ? NO_DESCRIPTORS : this.#bindings.bindAlone(demiflow, UdpSocket)
    return typeof bound === "number" ? bound : this.#open(this.#newDatagramSocket(UdpSocket, side, bound))
  }

  pingOpen(side: SideRef, demiflow: Demiflow): Socket {
    if (this.forbidsPing) return -Errno.EACCES as Socket
    const bound = this.#sockets.isFull ? NO_DESCRIPTORS : this.#bindings.bindAlone(demiflow, PingSocket)
    return typeof bound === "number" ? bound : this.#open(this.#newDatagramSocket(PingSocket, side, bound))
  }

  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    const datagrams = this.#findDatagram(socket, "sendDatagrams")
    if (datagrams === undefined) return -EBADF
    if (datagrams instanceof UnconnectedUdpSocket) return -EDESTADDRREQ
    return this.#sendAll(datagrams, datagrams.demiflow, batch, first, count)
  }

  sendDatagramsTo(
    socket: Socket,
    demiflow: Demiflow,
    _scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number {
    const unconnected = this.#sockets.find(socket, UnconnectedUdpSocket, "sendDatagramsTo")
    if (unconnected === undefined) return -EBADF
    const ends = this.#bindings.sourceOf(unconnected.end, demiflow)
    return typeof ends === "number" ? ends : this.#sendAll(unconnected, ends, batch, first, count)
  }

  #sendAll(datagrams: DatagramSocket, ends: Demiflow, batch: DatagramBatch, first: number, count: number): number {
    for (let index = first; index < first + count; index++) {
      const end = batch.offset[index] + batch.length[index]
      const size = batch.segmentSize[index] || Math.max(1, batch.length[index])
      let start = batch.offset[index]
      do {
        const answer = datagrams.sendOne(this.arena.bytes.slice(start, Math.min(end, start + size)), ends)
        if (answer < 0) {
          batch.length[index] = end - start
          batch.offset[index] = start
          if (batch.length[index] <= size) batch.segmentSize[index] = 0
          return index > first ? index - first : answer
        }
        start += size
      } while (start < end)
    }
    return count
  }

  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number {
    const datagrams = this.#findDatagram(socket, "receiveDatagrams")
    return datagrams?.receive(batch, count, this.arena.bytes, this.#isCoalescing) ?? -EBADF
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
    found.marks.trafficClass = found instanceof TcpSocket ? trafficClass & ~ECN : trafficClass
    return 0
  }

  setFragmentation(socket: Socket, _isV4: boolean, isAllowed: boolean): number {
    const datagrams = this.#findDatagram(socket, "setFragmentation")
    if (datagrams === undefined) return -EBADF
    datagrams.marks.isFragmentable = isAllowed
    return 0
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

  #tellForNoReason(
    deliver: (side: SideRef, events: number) => void,
    deliverToListener: ((listener: ListenerRef, events: number) => void) | undefined,
  ): void {
    const able = [...this.#sockets.open.values()].filter((socket) => socket.isWatched && socket.mayTellForNoReason)
    if (able.length === 0) return
    const { side, listening } = this.#kernel.random.pick(able)
    if (listening === undefined) deliver(side, HostEvent.readable | HostEvent.writable)
    else deliverToListener?.(listening.ref, HostEvent.readable)
  }

  #deliver(ends: Demiflow, bytes: Uint8Array, { interfaceName, trafficClass }: ArrivalOptions): void {
    const found = this.#bindings.findUdp(ends, interfaceName)
    const seen = ends.clone()
    // The host can't answer from a group's address: which of its own it would take, it knows beforehand for IPv4 only.
    if (!seen.forwardingAddress.isUnicast) {
      const own = seen.isV4 ? this.#bindings.firstAddress(true) : UNSPECIFIED_V6
      seen.forwardingAddress.copyFrom(own ?? UNSPECIFIED_V4)
    }
    found?.arrive(bytes, seen, trafficClass)
  }

  #connectFromWorld(
    ends: Demiflow,
    { receiveBuffer, interfaceName, trafficClass = 0 }: WorldConnectOptions,
  ): WorldConnection {
    const { clock } = this.#options
    const delay = () => this.#delay()
    const socket = new TcpSocket(this.#kernel, NO_SOCKET, NO_SIDE, ends, this.#tcpSizes)
    socket.synTrafficClass = trafficClass
    const end = new WorldEnd(this.#network, delay, socket, receiveBuffer ?? DEFAULT_BUFFER)
    end.begin()
    const connection = new WorldConnection(end, socket)
    const findListening = () => this.#bindings.findListening(TcpListeningSocket, ends, interfaceName)
    shakeHands(end, socket, { clock, delay, findListening, connectTimeout: this.#connectTimeout })
    return connection
  }

  #connect(socket: TcpSocket): void {
    const { clock } = this.#options
    const { correspondentAddress, correspondentPort } = socket.demiflow
    const listener = this.world.listenerAt(correspondentAddress, correspondentPort)
    const receiveBuffer = listener?.options.receiveBuffer ?? DEFAULT_BUFFER
    const end = new WorldEnd(this.#network, () => this.#delay(), socket, receiveBuffer)
    const rtt = this.#options.rtt ?? 0
    clock.schedule(rtt + (listener?.options.acceptDelay ?? 0), () => {
      // The kernel answers for a listener; that it was closed meanwhile is told by a reset.
      socket.establish(end.incoming, end.outgoing, () => end.room)
      if (!socket.isOpen) return
      const connection = new WorldConnection(end, socket)
      listener?.connections.push(connection)
      listener?.options.onConnection?.(connection)
    })
  }

  /** Half a round trip, and what chance adds. */
  #delay(): number {
    return (this.#options.rtt ?? 0) / 2 + this.#kernel.random.below((this.#options.jitter ?? 0) + 1)
  }

  get #connectTimeout(): number {
    return this.#options.connectTimeout ?? 127_000
  }

  get #datagramBuffer(): number {
    return this.#options.datagramBuffer ?? 212_992
  }

  get #isCoalescing(): boolean {
    return this.#options.coalescesDatagrams ?? false
  }

  get #tcpSizes(): TcpSocketSizes {
    const { sendBuffer = DEFAULT_BUFFER, receiveBuffer = DEFAULT_BUFFER, rtt = 0 } = this.#options
    return { sendBuffer, receiveBuffer, rtt }
  }

  #openUnconnected(bound: Demiflow, end: UnconnectedEnd): Socket {
    const descriptor = this.#sockets.descriptorFor(end.side ?? (0 as SideRef))
    const delay = () => this.#delay()
    const buffer = this.#datagramBuffer
    return this.#open(new UnconnectedUdpSocket(this.#kernel, descriptor, bound, end, this.world, delay, buffer))
  }

  #newDatagramSocket(kind: typeof UdpSocket | typeof PingSocket, side: SideRef, bound: Demiflow): DatagramSocket {
    const delay = () => this.#delay()
    const buffer = this.#datagramBuffer
    return new kind(this.#kernel, this.#sockets.descriptorFor(side), side, bound, this.world, delay, buffer)
  }

  #open(socket: SimulatedSocket): Socket {
    if (socket.side >= 0) this.opened++
    this.#sockets.open.set(socket.descriptor, socket)
    this.#kernel.list(socket)
    return socket.descriptor
  }

  #findDatagram(socket: Socket, call: string): DatagramSocket | undefined {
    return this.#sockets.find<DatagramSocket>(socket, DatagramSocket, call)
  }
}
