import {
  Address,
  Arena,
  Demiflow,
  Drops,
  finishUdpChecksum,
  Interface,
  type InterfaceId,
  IPV4_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IpProtocol,
  type ListenerRef,
  type ListeningEnd,
  type Log,
  type Pipes,
  SequenceBuffer,
  SocketEvent,
  sumPseudoHeader,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy, type ForwardingRules } from "@demiflow/flow"
import { Stack } from "@demiflow/stack"
import { type UdpOptions, udp, udpWithLocalPath } from "../index.ts"
import { type HostDatagram, ScriptedHost, type ScriptedSocket } from "./scripted-host.ts"
import { StrictGuest } from "./strict-guest.ts"

/** Options of a bench. */
export interface BenchOptions extends UdpOptions {
  readonly capacity?: number
  readonly rules?: ForwardingRules
  readonly room?: number
  readonly frameBytes?: number
  readonly udpSegmentation?: boolean
  readonly randomNumbers?: () => number
  /** True if the guest is a namespace with sockets of its own. */
  readonly hasLocalPath?: boolean
}

/** A datagram from the guest. */
export interface GuestDatagram {
  readonly payload: Uint8Array
  readonly hopLimit?: number
  readonly trafficClass?: number
  readonly dontFragment?: boolean
  readonly segmentSize?: number
  /** Changes the packet before it is handed over: header and payload. */
  readonly spoil?: (packet: Uint8Array) => void
  /** Bytes of the packet that are there; all by default. */
  readonly available?: number
}

/** Bytes that the handler and the host reserve. */
const OTHER_BYTES = 1 << 20
/** Bytes reserved for the local path. */
const LOCAL_PATH_BYTES = 3 << 20
const FIRST_DESCRIPTOR_OF_NAMESPACE = 1_000_000

/** UDP has no use for pipes: a test that uses them fails. */
const NO_PIPES = undefined as unknown as Pipes

/** UDP on a stack between a strict guest and a scripted host. */
export class Bench {
  readonly arena: Arena
  readonly drops: Drops = new Drops()
  readonly warnings: string[] = []
  readonly clock: { now: number } = { now: 1_000_000 }
  readonly guest: StrictGuest
  readonly sockets: ScriptedHost
  /** Part of the stack with {@link BenchOptions.hasLocalPath}. */
  readonly namespace: ScriptedHost
  readonly flows: FixedFlowTable
  readonly stack: Stack
  readonly #frames: number

  constructor(options: BenchOptions = {}) {
    const { room = 3 << 20, frameBytes = 1 << 18, udpSegmentation = true } = options
    this.arena = new Arena(room + frameBytes + OTHER_BYTES + LOCAL_PATH_BYTES)
    const { arena, clock, drops } = this
    let random = 1
    const log: Log = {
      isDebug: true,
      isTrace: false,
      error() {},
      warning: (message) => this.warnings.push(message),
      info() {},
      debug() {},
      trace() {},
    }
    this.guest = new StrictGuest(arena, room, udpSegmentation)
    this.sockets = new ScriptedHost(arena)
    this.namespace = new ScriptedHost(arena, FIRST_DESCRIPTOR_OF_NAMESPACE)
    const localPath = { sockets: this.namespace.asHost, pipes: NO_PIPES }
    this.flows = new FixedFlowTable({ capacity: options.capacity ?? 64, random: { int32: () => random++ }, drops })
    this.stack = new Stack(
      {
        arena,
        guest: this.guest,
        sockets: this.sockets.asHost,
        localPath: options.hasLocalPath ? localPath : undefined,
        flows: this.flows,
        forwarding: new ForwardingPolicy(options.rules ?? { v4: {}, v6: {} }, drops),
        clock,
        random: { int32: options.randomNumbers ?? (() => random++) },
        log,
        drops,
      },
      [options.hasLocalPath ? udpWithLocalPath(options) : udp(options)],
    )
    this.#frames = arena.reserve(frameBytes)
  }

  /** Hands a sequence of datagrams from the guest to the stack, and ends the turn. Returns their payloads' offsets. */
  fromGuest(from: string, fromPort: number, to: string, port: number, ...datagrams: GuestDatagram[]): number[] {
    const sequence = new SequenceBuffer(Math.max(1, datagrams.length))
    const { demiflow } = sequence
    sequence.protocol = IpProtocol.udp
    demiflow.correspondentAddress.copyFrom(Address.parse(from))
    demiflow.correspondentPort = fromPort
    demiflow.forwardingAddress.copyFrom(Address.parse(to))
    demiflow.forwardingPort = port
    let offset = this.#frames
    for (const datagram of datagrams) offset = this.#append(sequence, datagram, offset)
    this.stack.fromGuest(sequence)
    this.stack.endTurn()
    return datagrams.map((_, index) => sequence.transportOffset[index] + UDP_HEADER_LENGTH)
  }

  /** The socket opened last. */
  get socket(): ScriptedSocket {
    const socket = this.sockets.sockets.at(-1)
    if (socket === undefined) throw new Error("no socket was opened")
    return socket
  }

  /** Makes datagrams arrive at a socket, and reports that to the stack. */
  fromHost(socket: ScriptedSocket, ...payloads: Uint8Array[]): void {
    socket.incoming.push(...payloads.map((bytes) => ({ bytes, segmentSize: 0 })))
    this.event(socket, 1)
  }

  /** Listens, and returns the listening socket. */
  listen(
    port: number,
    targetPort: number = port,
    end: Partial<ListeningEnd> = {},
    target?: string,
    place: InterfaceId = Interface.host,
  ): ScriptedSocket {
    const whole = { address: undefined, interfaceName: undefined, freebind: false, ...end, port }
    const targetAddress = target === undefined ? undefined : Address.parse(target)
    const ref = this.stack.listen(IpProtocol.udp, whole, targetAddress, targetPort, place)
    if (ref < 0) throw new Error(`listening failed: ${ref}`)
    const socket = (place === Interface.host ? this.sockets : this.namespace).sockets.at(-1)
    if (socket === undefined) throw new Error("no socket listens")
    return socket
  }

  /** Makes datagrams from a sender arrive at a listening socket, and reports that to the stack. */
  fromAnyone(listening: ScriptedSocket, from: string, fromPort: number, to: string, ...payloads: Uint8Array[]): void {
    listening.incoming.push(...datagramsOf(listening, from, fromPort, to, ...payloads))
    this.listenerEvent(listening)
  }

  /** Reports a listening socket as readable, and ends the turn. */
  listenerEvent(listening: ScriptedSocket): void {
    this.stack.fromListener(listening.side as number as ListenerRef, SocketEvent.readable)
    this.stack.expire(this.clock.now)
    this.stack.endTurn()
  }

  event(socket: ScriptedSocket, events: number): void {
    this.stack.fromHost(socket.side, events)
    this.stack.endTurn()
  }

  /** Advances the clock, and runs what is due on the way. */
  advance(milliseconds: number): void {
    const end = this.clock.now + milliseconds
    for (let next = this.stack.nextDeadline(); next <= end; next = this.stack.nextDeadline()) {
      this.clock.now = Math.max(this.clock.now, next)
      this.stack.expire(this.clock.now)
      this.stack.endTurn()
    }
    this.clock.now = end
  }

  #append(sequence: SequenceBuffer, datagram: GuestDatagram, offset: number): number {
    const { payload, hopLimit = 64, segmentSize = 0, spoil } = datagram
    const { view, bytes } = this.arena
    const length = UDP_HEADER_LENGTH + payload.length
    view.setUint16(offset, sequence.demiflow.correspondentPort)
    view.setUint16(offset + 2, sequence.demiflow.forwardingPort)
    view.setUint16(offset + 4, length)
    view.setUint16(offset + 6, 0)
    bytes.set(payload, offset + UDP_HEADER_LENGTH)
    const sum = this.arena.sum(offset, length, sumPseudoHeader(sequence.demiflow, IpProtocol.udp, length))
    view.setUint16(offset + UDP_CHECKSUM, finishUdpChecksum(sum))
    spoil?.(bytes.subarray(offset, offset + length))
    const index = sequence.count++
    sequence.networkOffset[index] = offset - (sequence.demiflow.isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH)
    sequence.transportOffset[index] = offset
    sequence.endOffset[index] = offset + (datagram.available ?? length)
    sequence.segmentSize[index] = segmentSize
    sequence.hopLimit[index] = hopLimit
    sequence.trafficClass[index] = datagram.trafficClass ?? 0
    sequence.dontFragment[index] = datagram.dontFragment ? 1 : 0
    return offset + length
  }
}

/** Returns datagrams from a sender to a listening socket's port. */
export function datagramsOf(
  listening: ScriptedSocket,
  from: string,
  fromPort: number,
  to: string,
  ...payloads: Uint8Array[]
): HostDatagram[] {
  const port = listening.demiflow.forwardingPort
  const ends = Demiflow.of(Interface.host, Address.parse(to), port, Address.parse(from), fromPort)
  return payloads.map((bytes) => ({ bytes, segmentSize: 0, ends }))
}

/** Returns payload that shows a byte in the wrong place. */
export function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) + seed) & 0xff)
}

/** A parsed ICMP error. */
export interface IcmpError {
  readonly reporter: string
  readonly target: string
  readonly type: number
  readonly code: number
  readonly information: number
  /** The quoted packet. */
  readonly quotedSource: string
  readonly quotedTarget: string
  readonly quotedProtocol: number
  /** The quoted bytes, from the transport header on. */
  readonly quoted: Uint8Array
}

/** Returns the ICMP errors that the guest received. */
export function icmpErrors(guest: StrictGuest): IcmpError[] {
  return guest.sent
    .filter(({ protocol }) => protocol !== IpProtocol.udp)
    .map(({ tap, bytes }) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      const isV4 = (bytes[8] ?? 0) >>> 4 === 4
      const source = isV4 ? bytes.slice(20, 24) : bytes.slice(16, 32)
      const target = isV4 ? bytes.slice(24, 28) : bytes.slice(32, 48)
      return {
        reporter: `${tap.forwardingAddress}`,
        target: `${tap.correspondentAddress}`,
        type: bytes[0],
        code: bytes[1],
        information: view.getUint32(4),
        quotedSource: `${Address.fromBytes(source)}`,
        quotedTarget: `${Address.fromBytes(target)}`,
        quotedProtocol: isV4 ? bytes[17] : bytes[14],
        quoted: bytes.slice(isV4 ? 28 : 48),
      }
    })
}
