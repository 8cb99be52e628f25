/**
 * Sockets of the simulated host that carry datagrams, UDP and ping: a receive queue, and an error queue
 * with reports of routers and correspondents (as with IP_RECVERR: ip(7)).
 */
import {
  type Address,
  type DatagramBatch,
  type Demiflow,
  Errno,
  IcmpType,
  Icmpv6Type,
  type ListeningEnd,
  type SideRef,
  type Socket,
  SocketEvent,
} from "@demiflow/core"
import { copyEnds } from "./ends.ts"
import { type QueuedError, queuedError, type Report } from "./queued-error.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import { SimulatedSocket } from "./simulated-socket.ts"
import { DEFAULT_HOP_LIMIT, type Leaving } from "./socket-marks.ts"
import { toAddress, type World } from "./world.ts"

/** Maximum bytes that the kernel joins. */
const GATHERED_LIMIT = 65_507

/** A waiting datagram, and its two ends. */
interface Arrived {
  readonly bytes: Uint8Array
  readonly ends: Demiflow
  readonly trafficClass: number
}

export abstract class DatagramSocket extends SimulatedSocket {
  /** The bound end of an unconnected socket. */
  abstract readonly end: ListeningEnd | undefined
  protected readonly world: World
  readonly #delay: () => number
  readonly #receiveBuffer: number
  readonly #arrived: Arrived[] = []
  #arrivedBytes = 0
  readonly #errors: QueuedError[] = []
  #isBlocked = false
  /** When the last sent packet arrives, in each direction. */
  #there = 0
  #back = 0
  /** Datagrams that were dropped on arrival for lack of room. */
  overflowed = 0

  constructor(
    kernel: SimulatedKernel,
    descriptor: Socket,
    side: SideRef,
    demiflow: Demiflow,
    world: World,
    delay: () => number,
    receiveBuffer: number,
  ) {
    super(kernel, descriptor, side, demiflow)
    this.world = world
    this.#delay = delay
    this.#receiveBuffer = receiveBuffer
  }

  /** Bytes of headers on the wire, besides the bytes that pass the socket. */
  protected abstract readonly overhead: number
  /** Maximum bytes that the socket passes. */
  protected abstract readonly maximum: number
  /** Prepares a datagram for the wire, or returns a negated error number. */
  protected abstract prepare(bytes: Uint8Array): Uint8Array | number
  /** Delivers a datagram to its destination; false if its port is not in use. */
  protected abstract deliver(packet: Leaving, ends: Demiflow): boolean

  override readiness(): number {
    let events = this.#isBlocked ? 0 : SocketEvent.writable
    if (this.#arrived.length > 0) events |= SocketEvent.readable
    if (this.pendingError !== 0 || this.#errors.length > 0) events |= SocketEvent.error
    return events
  }

  override closed(): void {}

  /** Reports the socket's events for a side from now on. */
  handOver(side: SideRef): void {
    this.side = side
  }

  /** Sends one datagram between the ends. Returns 1 if it was accepted, else a negated error number. */
  sendOne(bytes: Uint8Array, ends: Demiflow = this.demiflow): number {
    if (this.pendingError !== 0) return this.takeError()
    if (bytes.length > this.maximum) return -Errno.EMSGSIZE
    if (this.kernel.random.chance(this.kernel.faults.partialSend)) {
      this.#isBlocked = true
      this.kernel.network.deliver(this.kernel.random.between(1, 5), this, () => {
        this.#isBlocked = false
        this.kernel.list(this)
      })
      return -Errno.EAGAIN
    }
    if (this.#isBlocked) return -Errno.EAGAIN
    if (this.world.routeTo(ends.correspondentAddress).hasNoRoute) return -Errno.ENETUNREACH
    const prepared = this.prepare(bytes)
    if (typeof prepared === "number") return prepared
    const { hopLimit, trafficClass, isFragmentable } = this.marks
    const packet = { bytes: prepared, hopLimit: hopLimit || DEFAULT_HOP_LIMIT, trafficClass }
    this.#there = this.#inOrder(this.#there, () => this.#travel(packet, isFragmentable === true, ends))
    return 1
  }

  /**
   * Fills up to `count` entries of the batch, and of `ends` if given. Returns their number, or a negated error
   * number.
   */
  receive(
    batch: DatagramBatch,
    count: number,
    memory: Uint8Array,
    isCoalescing: boolean,
    ends?: readonly Demiflow[],
  ): number {
    if (this.pendingError !== 0) return this.takeError()
    let filled = 0
    while (filled < count && this.#arrived.length > 0) {
      const offset = batch.offset[filled]
      const room = batch.length[filled]
      const first = this.#takeArrived()
      const size = first.bytes.length
      memory.set(first.bytes.subarray(0, room), offset)
      const length = isCoalescing ? this.#gather(first, memory, offset, room) : size
      batch.length[filled] = length
      batch.segmentSize[filled] = length > size ? size : 0
      batch.trafficClass[filled] = first.trafficClass
      if (ends !== undefined) copyEnds(first.ends, ends[filled])
      filled++
    }
    return filled > 0 ? filled : -Errno.EAGAIN
  }

  /** Takes the oldest entry of the error queue. The pending error follows the queue: ip(7). */
  override takeQueuedError(): QueuedError | undefined {
    const entry = this.#errors.shift()
    if (entry !== undefined) this.pendingError = this.#errors[0]?.errno ?? 0
    return entry
  }

  /** Receives a datagram, from the correspondent by default. */
  arrive(bytes: Uint8Array, ends: Demiflow = this.demiflow, trafficClass = 0): void {
    this.#back = this.#inOrder(this.#back, () => this.arriveNow(bytes, ends, trafficClass))
  }

  /** A datagram has arrived. */
  arriveNow(bytes: Uint8Array, ends: Demiflow, trafficClass = 0): void {
    if (!this.isOpen) return
    if (this.#arrivedBytes + bytes.length > this.#receiveBuffer) {
      this.overflowed++
      return
    }
    this.#arrived.push({ bytes, ends, trafficClass })
    this.#arrivedBytes += bytes.length
    this.kernel.list(this)
  }

  /** Runs after the delay, but after everything sent earlier. Returns the time. */
  #inOrder(earliest: number, arrive: () => void): number {
    const { network } = this.kernel
    const arrival = Math.max(earliest, network.now + this.#delay())
    network.deliver(arrival - network.now, this, arrive)
    return arrival
  }

  #takeArrived(): Arrived {
    const arrived = this.#arrived.shift() ?? { bytes: new Uint8Array(0), ends: this.demiflow, trafficClass: 0 }
    this.#arrivedBytes -= arrived.bytes.length
    return arrived
  }

  /**
   * As UDP_GRO: joins datagrams of the size of the first that follow it, between the same ends and of one traffic
   * class; a shorter one is the last. Returns the bytes of all.
   */
  #gather(first: Arrived, memory: Uint8Array, offset: number, room: number): number {
    const size = first.bytes.length
    let length = size
    for (let last = size; last === size && size > 0; ) {
      const next = this.#arrived[0]?.bytes
      if (next === undefined || next.length === 0 || next.length > size) break
      if (!this.#arrived[0].ends.equals(first.ends) || this.#arrived[0].trafficClass !== first.trafficClass) break
      if (length + next.length > Math.min(room, GATHERED_LIMIT)) break
      memory.set(this.#takeArrived().bytes, offset + length)
      length += next.length
      last = next.length
    }
    return length
  }

  #travel(packet: Leaving, isFragmentable: boolean, ends: Demiflow): void {
    const { bytes, hopLimit } = packet
    const route = this.world.routeTo(ends.correspondentAddress)
    const hops = route.hops ?? []
    // No errors are reported about datagrams to a group (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
    if (!ends.correspondentAddress.isUnicast) {
      if (hopLimit > hops.length) this.deliver({ ...packet, hopLimit: hopLimit - hops.length }, ends)
      return
    }
    if (route.isSilent) return
    const lastHop = toAddress(hops.at(-1) ?? ends.correspondentAddress)
    // Routers fragment IPv4 only (RFC 8200, section 4.5).
    const isCut = isFragmentable && ends.isV4
    if (hopLimit <= hops.length) this.#report("timeExceeded", ends, toAddress(hops[hopLimit - 1]), 0, bytes)
    else if (route.isUnreachable) this.#report("hostUnreachable", ends, lastHop, 0, bytes)
    else if (!isCut && route.mtu !== undefined && bytes.length + this.overhead > route.mtu) {
      this.#report("tooBig", ends, lastHop, route.mtu, bytes)
    } else if (!this.deliver({ ...packet, hopLimit: hopLimit - hops.length }, ends)) {
      this.#report("portUnreachable", ends, ends.correspondentAddress, 0, bytes)
    }
  }

  #report(what: Report, ends: Demiflow, reporter: Address, information: number, bytes: Uint8Array): void {
    this.#back = this.#inOrder(this.#back, () => {
      if (!this.isOpen) return
      const entry = queuedError(what, ends, reporter, information, bytes)
      this.#errors.push(entry)
      this.pendingError = entry.errno
      this.kernel.list(this)
    })
  }
}

/** A UDP socket, connected unless a subclass overrides that. */
export class UdpSocket extends DatagramSocket {
  override readonly end: ListeningEnd | undefined = undefined

  protected override get overhead(): number {
    return this.demiflow.isV4 ? 28 : 48
  }

  protected override get maximum(): number {
    return this.demiflow.isV4 ? 65_507 : 65_527
  }

  protected override prepare(bytes: Uint8Array): Uint8Array {
    return bytes
  }

  protected override deliver(packet: Leaving, ends: Demiflow): boolean {
    return this.world.arrive(ends, packet)
  }
}

/**
 * An unconnected ping socket: passes ICMP echo messages, header included. The kernel puts its own identifier, the
 * forwarding port, into requests, and delivers replies with that identifier.
 */
export class PingSocket extends DatagramSocket {
  override get end(): ListeningEnd {
    const { forwardingAddress: address, forwardingPort: port } = this.demiflow
    return { address, port, interfaceName: undefined, freebind: false }
  }

  /** A ping socket doesn't report room. */
  override readiness(): number {
    return super.readiness() & ~SocketEvent.writable
  }

  protected override get overhead(): number {
    return this.demiflow.isV4 ? 20 : 40
  }

  protected override get maximum(): number {
    return this.demiflow.isV4 ? 65_515 : 65_535
  }

  protected override prepare(bytes: Uint8Array): Uint8Array | number {
    const request = this.demiflow.isV4 ? IcmpType.echoRequest : Icmpv6Type.echoRequest
    if (bytes.length < 8 || bytes[0] !== request || bytes[1] !== 0) return -Errno.EINVAL
    const identifier = this.demiflow.forwardingPort
    bytes[4] = identifier >> 8
    bytes[5] = identifier & 0xff
    return bytes
  }

  /** Replies have the class of the request, as Linux answers. */
  protected override deliver({ bytes, trafficClass }: Leaving, ends: Demiflow): boolean {
    if (!ends.correspondentAddress.isUnicast) return true
    const reply = bytes.slice()
    reply[0] = this.demiflow.isV4 ? IcmpType.echoReply : Icmpv6Type.echoReply
    const seen = ends.clone()
    seen.correspondentPort = 0
    this.arrive(reply, seen, trafficClass)
    return true
  }
}
