import {
  type Demiflow,
  Errno,
  type ListenerRef,
  type ListeningEnd,
  NO_SIDE,
  NO_SOCKET,
  type SideRef,
  type Socket,
  type Vectors,
} from "@demiflow/core"
import { shakeHands } from "./accepted-connection.ts"
import { copyEnds } from "./ends.ts"
import { EBADF, type HostParts, NO_DESCRIPTORS } from "./host-parts.ts"
import { queuedError } from "./queued-error.ts"
import { DEFAULT_HOP_LIMIT, KERNEL_TRAFFIC_CLASS } from "./socket-marks.ts"
import { TcpListeningSocket } from "./tcp-listening-socket.ts"
import { TcpSocket, type TcpSocketSizes } from "./tcp-socket.ts"
import { toAddress, type World, type WorldConnectOptions } from "./world.ts"
import { outcomeErrors, WorldConnection, WorldEnd } from "./world-connection.ts"

const EEXIST = 17
const DEFAULT_BUFFER = 131_072
const TCP_HEADER_LENGTH = 20

/** The calls of a simulated host by which TCP connections begin and move payload, as in core's `Sockets`. */
export class TcpCalls {
  readonly #parts: HostParts
  readonly #world: World

  constructor(parts: HostParts, world: World) {
    this.#parts = parts
    this.#world = world
  }

  connect(side: SideRef, demiflow: Demiflow, hopLimit: number, trafficClass: number, queuesErrors: boolean): Socket {
    this.#parts.called()
    const { sockets, bindings, kernel, clock, network } = this.#parts
    const bound = sockets.isFull ? NO_DESCRIPTORS : bindings.bindAlone(demiflow, TcpSocket)
    if (typeof bound === "number") return bound
    const outcome = this.#world.outcome(bound)
    if (outcome === "noRoute") return -outcomeErrors.noRoute as Socket
    const socket = new TcpSocket(kernel, sockets.descriptorFor(side), side, bound, this.#sizes)
    socket.marks.hopLimit = hopLimit
    socket.marks.trafficClass = trafficClass & ~KERNEL_TRAFFIC_CLASS
    socket.queuesErrors = queuesErrors
    const hops = this.#world.routeTo(bound.correspondentAddress).hops ?? []
    if ((hopLimit || DEFAULT_HOP_LIMIT) <= hops.length) {
      const entry = queuedError(
        "timeExceeded",
        bound,
        toAddress(hops[hopLimit - 1]),
        0,
        new Uint8Array(TCP_HEADER_LENGTH),
      )
      network.deliver(socket.sizes.rtt, socket, () => socket.reported(entry))
    } else if (outcome === "accept") this.#beAccepted(socket)
    else if (outcome === "silent") clock.schedule(this.#connectTimeout, () => socket.fail(outcomeErrors.silent))
    else network.deliver(socket.sizes.rtt, socket, () => socket.fail(outcomeErrors[outcome]))
    return this.#parts.open(socket)
  }

  /** Begins a connection from a client in the world to the host. */
  connectFromWorld(
    ends: Demiflow,
    { receiveBuffer, interfaceName, trafficClass = 0 }: WorldConnectOptions,
  ): WorldConnection {
    const { kernel, clock, network, bindings, delay } = this.#parts
    const socket = new TcpSocket(kernel, NO_SOCKET, NO_SIDE, ends, this.#sizes)
    socket.synTrafficClass = trafficClass
    const end = new WorldEnd(network, delay, socket, receiveBuffer ?? DEFAULT_BUFFER)
    end.begin()
    const connection = new WorldConnection(end, socket)
    const findListening = () => bindings.findListening(TcpListeningSocket, ends, interfaceName)
    shakeHands(end, socket, { clock, network, delay, findListening, connectTimeout: this.#connectTimeout })
    return connection
  }

  listen(listener: ListenerRef, end: ListeningEnd): Socket {
    this.#parts.called()
    const { sockets, bindings, kernel, options } = this.#parts
    const bound = sockets.isFull ? NO_DESCRIPTORS : bindings.bindListening(end, TcpListeningSocket)
    if (typeof bound === "number") return bound
    const { backlog = 128 } = options
    const socket = new TcpListeningSocket(kernel, sockets.newDescriptor(), bound, { ref: listener, end }, backlog)
    return this.#parts.open(socket)
  }

  accept(listening: Socket, demiflow: Demiflow): Socket {
    const { sockets } = this.#parts
    const found = sockets.find(listening, TcpListeningSocket, "tcpAccept")
    if (found === undefined) return -EBADF as Socket
    // The kernel takes a descriptor first as well: the connection keeps waiting.
    if (sockets.isFull) return NO_DESCRIPTORS
    const accepted = found.take()
    if (accepted === undefined) return -Errno.EAGAIN as Socket
    accepted.descriptor = sockets.newDescriptor()
    this.#parts.opened++
    copyEnds(accepted.demiflow, demiflow)
    return this.#parts.open(accepted)
  }

  connectionsWaiting(listening: Socket): number {
    const found = this.#parts.sockets.find(listening, TcpListeningSocket, "connectionsWaiting")
    return found === undefined ? -EBADF : found.waiting
  }

  watch(socket: Socket, side: SideRef): number {
    const found = this.#parts.sockets.find(socket, TcpSocket, "watch")
    if (found === undefined) return -EBADF
    if (found.isWatched) {
      this.#parts.sockets.violations.push(`watch(${socket}): the socket is watched already`)
      return -EEXIST
    }
    found.side = side
    this.#parts.kernel.list(found)
    return 0
  }

  send(socket: Socket, vectors: Vectors, first: number, count: number): number {
    const tcp = this.#parts.sockets.find(socket, TcpSocket, "send")
    if (tcp === undefined) return -EBADF
    let length = 0
    for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
    const bytes = new Uint8Array(length)
    let position = 0
    for (let index = first; index < first + count; index++) {
      const offset = vectors.offsetAt(index)
      bytes.set(this.#parts.arena.bytes.subarray(offset, offset + vectors.lengthAt(index)), position)
      position += vectors.lengthAt(index)
    }
    return tcp.send(bytes)
  }

  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    const tcp = this.#parts.sockets.find(socket, TcpSocket, "peek")
    if (tcp === undefined) return -EBADF
    let copied = 0
    for (let index = first; index < first + count; index++) {
      const length = vectors.lengthAt(index)
      if (length === 0) continue
      const offset = vectors.offsetAt(index)
      if (copied > 0 && tcp.unread <= skip + copied) break
      const part = tcp.peek(this.#parts.arena.bytes.subarray(offset, offset + length), skip + copied)
      if (part < 0) return copied > 0 ? copied : part
      copied += part
      if (part < length) break
    }
    return copied
  }

  #beAccepted(socket: TcpSocket): void {
    const { network, delay, rtt } = this.#parts
    const { correspondentAddress, correspondentPort } = socket.demiflow
    const listener = this.#world.listenerAt(correspondentAddress, correspondentPort)
    const end = new WorldEnd(network, delay, socket, listener?.options.receiveBuffer ?? DEFAULT_BUFFER)
    network.deliver(rtt + (listener?.options.acceptDelay ?? 0), socket, () => {
      // The kernel answers for a listener; a reset means that the listener was closed meanwhile.
      socket.establish(end.incoming, end.outgoing, () => end.room)
      if (!socket.isOpen) return
      const connection = new WorldConnection(end, socket)
      listener?.connections.push(connection)
      listener?.options.onConnection?.(connection)
    })
  }

  get #connectTimeout(): number {
    return this.#parts.options.connectTimeout ?? 127_000
  }

  get #sizes(): TcpSocketSizes {
    const { sendBuffer = DEFAULT_BUFFER, receiveBuffer = DEFAULT_BUFFER, rtt = 0 } = this.#parts.options
    return { sendBuffer, receiveBuffer, rtt }
  }
}
