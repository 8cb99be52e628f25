import {
  type DatagramBatch,
  type Demiflow,
  hopLimitIn,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  trafficClassIn,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { DatagramSocket, PingSocket, UdpSocket } from "./datagram-socket.ts"
import { EBADF, type HostParts, NO_DESCRIPTORS } from "./host-parts.ts"
import { type UnconnectedEnd, UnconnectedUdpSocket } from "./unconnected-udp-socket.ts"
import type { ArrivalOptions, World } from "./world.ts"

const EDESTADDRREQ = 89
const EISCONN = 106

/** The calls of a simulated host for UDP and ping sockets, as in core's `Sockets`. */
export class DatagramCalls {
  readonly #parts: HostParts
  readonly #world: World

  constructor(parts: HostParts, world: World) {
    this.#parts = parts
    this.#world = world
  }

  udpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    this.#parts.called()
    const { sockets, bindings } = this.#parts
    const bound = sockets.isFull ? NO_DESCRIPTORS : bindings.bindListening(end, UnconnectedUdpSocket)
    if (typeof bound === "number") return bound
    return this.#openUnconnected(bound, { end, listening: { ref: listener, end } })
  }

  udpBind(side: SideRef, demiflow: Demiflow): Socket {
    this.#parts.called()
    const end = this.#parts.sockets.isFull ? NO_DESCRIPTORS : this.#parts.bindings.bindUnconnected(demiflow)
    if (typeof end === "number") return end
    const bound = demiflow.clone()
    bound.forwardingPort = end.port
    return this.#openUnconnected(bound, { end: { ...end, address: bound.forwardingAddress }, side })
  }

  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number {
    const found = this.#findDatagram(socket, "receiveFromAnyone")
    batch.scope.fill(0, 0, count)
    return found?.receive(batch, count, this.#parts.arena.bytes, this.#isCoalescing, ends) ?? -EBADF
  }

  udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    this.#parts.called()
    const { sockets, bindings } = this.#parts
    const bound = sockets.isFull ? NO_DESCRIPTORS : bindings.bindAlone(demiflow, UdpSocket)
    return typeof bound === "number" ? bound : this.#open(UdpSocket, side, bound)
  }

  pingBind(side: SideRef, demiflow: Demiflow): Socket {
    this.#parts.called()
    const { sockets, bindings } = this.#parts
    const bound = sockets.isFull ? NO_DESCRIPTORS : bindings.bindPing(demiflow)
    return typeof bound === "number" ? bound : this.#open(PingSocket, side, bound)
  }

  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number {
    const datagrams = this.#findDatagram(socket, "sendDatagrams")
    if (datagrams === undefined) return -EBADF
    if (datagrams.end !== undefined) return -EDESTADDRREQ
    return this.#sendAll(datagrams, datagrams.demiflow, batch, first, count)
  }

  sendDatagramsTo(socket: Socket, demiflow: Demiflow, batch: DatagramBatch, first: number, count: number): number {
    const unconnected = this.#findDatagram(socket, "sendDatagramsTo")
    if (unconnected === undefined) return -EBADF
    if (unconnected.end === undefined) return -EISCONN
    unconnected.marks.hopLimit = hopLimitIn(batch.marks)
    unconnected.marks.trafficClass = trafficClassIn(batch.marks)
    const ends = this.#parts.bindings.sourceOf(unconnected.end, demiflow)
    return typeof ends === "number" ? ends : this.#sendAll(unconnected, ends, batch, first, count)
  }

  #sendAll(datagrams: DatagramSocket, ends: Demiflow, batch: DatagramBatch, first: number, count: number): number {
    for (let index = first; index < first + count; index++) {
      const end = batch.offset[index] + batch.length[index]
      const size = batch.segmentSize[index] || Math.max(1, batch.length[index])
      let start = batch.offset[index]
      do {
        const answer = datagrams.sendOne(this.#parts.arena.bytes.slice(start, Math.min(end, start + size)), ends)
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
    return datagrams?.receive(batch, count, this.#parts.arena.bytes, this.#isCoalescing) ?? -EBADF
  }

  /** Delivers a datagram from the world to the host. */
  deliver(ends: Demiflow, bytes: Uint8Array, { interfaceName, trafficClass }: ArrivalOptions): void {
    const found = this.#parts.bindings.findUdp(ends, interfaceName)
    const seen = ends.clone()
    // The host can't answer from a group's address. It knows only for IPv4 which of its own addresses it would use.
    if (!seen.forwardingAddress.isUnicast) {
      const own = seen.isV4 ? this.#parts.bindings.firstAddress(true) : UNSPECIFIED_V6
      seen.forwardingAddress.copyFrom(own ?? UNSPECIFIED_V4)
    }
    found?.arrive(bytes, seen, trafficClass)
  }

  get #receiveBuffer(): number {
    return this.#parts.options.datagramBuffer ?? 212_992
  }

  get #isCoalescing(): boolean {
    return this.#parts.options.coalescesDatagrams ?? false
  }

  #openUnconnected(bound: Demiflow, end: UnconnectedEnd): Socket {
    const { sockets, kernel, delay } = this.#parts
    const descriptor = sockets.descriptorFor(end.side ?? (0 as SideRef))
    const buffer = this.#receiveBuffer
    return this.#parts.open(new UnconnectedUdpSocket(kernel, descriptor, bound, end, this.#world, delay, buffer))
  }

  #open(kind: typeof UdpSocket | typeof PingSocket, side: SideRef, bound: Demiflow): Socket {
    const { sockets, kernel, delay } = this.#parts
    const descriptor = sockets.descriptorFor(side)
    return this.#parts.open(new kind(kernel, descriptor, side, bound, this.#world, delay, this.#receiveBuffer))
  }

  #findDatagram(socket: Socket, call: string): DatagramSocket | undefined {
    return this.#parts.sockets.find<DatagramSocket>(socket, DatagramSocket, call)
  }
}
