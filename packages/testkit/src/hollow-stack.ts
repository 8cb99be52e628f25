/**
 * A stack whose two ends keep nothing: all memory and time that a measurement shows belong to the stack.
 */
import {
  Address,
  Arena,
  type Clock,
  Drops,
  Errno,
  EtherType,
  type FlowIndex,
  type Guest,
  Interface,
  IpProtocol,
  MacAddress,
  type ProtocolPlugin,
  SequenceBuffer,
  type Socket,
  SocketEvent,
  type Sockets,
  silentLog,
  targetSide,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { Stack, type StackParts } from "@demiflow/stack"
import { noHostNeighbours, noNeighbours } from "./guest/no-neighbours.ts"
import { SeededRandom } from "./seeded-random.ts"

/** Options of a {@link HollowStack}. */
export interface HollowStackOptions {
  /** Flows at most; 65,536 by default. */
  readonly capacity?: number
  /** Overrides of the host's calls. By default it takes everything and has nothing to read. */
  readonly sockets?: Partial<Sockets>
}

const ARENA_BYTES = 96 << 20
const FRAME_BYTES = 2_048
const GUEST_PORTS = 60_000
const FIRST_GUEST_PORT = 2_000
/** TCP (RFC 9293, section 3.1): offsets in bytes from the start of the header, its length, flags. */
const SEQUENCE = 4
const ACKNOWLEDGEMENT = 8
const DATA_OFFSET = 12
const FLAGS = 13
const WINDOW = 14
const TCP_HEADER_LENGTH = 20
const SYN_FLAG = 2
const ACKNOWLEDGEMENT_FLAG = 16
/** 198.51.100.7 */
const FIRST_SERVER = 0xc633_6407

/**
 * A stack between a guest and a host that are a few numbers each. Made with a plugin; there is one packet at a time.
 */
export class HollowStack {
  readonly arena: Arena = new Arena(ARENA_BYTES)
  readonly clock: { now: number } & Clock = { now: 1_000 }
  readonly drops: Drops = new Drops()
  readonly flows: FixedFlowTable
  readonly stack: Stack
  /** The packet that {@link HollowStack.send} sends. */
  readonly sequence: SequenceBuffer = new SequenceBuffer(1)
  /** Arena offset of its transport header. */
  readonly packet: number
  /** Arena offset of the transport header of the last packet to the guest. */
  readonly received: number
  /** Number of packets sent to the guest. */
  receivedCount = 0
  #sockets = 3

  constructor(plugins: readonly ProtocolPlugin[], options: HollowStackOptions = {}) {
    const { arena, drops, clock } = this
    this.packet = arena.reserve(FRAME_BYTES)
    this.received = arena.reserve(1 << 17)
    const random = new SeededRandom(1)
    this.flows = new FixedFlowTable({ capacity: options.capacity ?? 65_536, random, drops })
    const forwarding = new ForwardingPolicy({ v4: {}, v6: {} }, drops)
    const sockets = { ...this.#host(), ...options.sockets } as Sockets
    const parts: StackParts = {
      arena,
      guest: this.#guest(),
      sockets,
      flows: this.flows,
      forwarding,
      random,
      drops,
      clock,
      log: silentLog,
    }
    this.stack = new Stack(parts, plugins)
    const { sequence } = this
    sequence.etherType = EtherType.ipv4
    sequence.count = 1
    sequence.transportOffset[0] = this.packet
    sequence.checksumTrusted[0] = 1
    sequence.hopLimit[0] = 64
    sequence.demiflow.interface = Interface.tap
    sequence.demiflow.correspondentAddress.copyFrom(Address.parse("192.0.2.2"))
    sequence.demiflow.forwardingAddress.copyFrom(Address.fromV4(FIRST_SERVER))
  }

  /** Has the guest send the packet, `length` bytes from its transport header on, on the flow with this number. */
  send(protocol: number, flow: number, length: number): void {
    const { sequence } = this
    sequence.protocol = protocol
    // More flows than a guest has ports go to several servers.
    sequence.demiflow.correspondentPort = FIRST_GUEST_PORT + (flow % GUEST_PORTS)
    sequence.demiflow.forwardingAddress.word3 = (FIRST_SERVER + Math.floor(flow / GUEST_PORTS)) | 0
    sequence.demiflow.forwardingPort = 80
    sequence.endOffset[0] = this.packet + length
    const { view } = this.arena
    view.setUint16(this.packet, sequence.demiflow.correspondentPort)
    view.setUint16(this.packet + 2, 80)
    this.stack.fromGuest(sequence)
  }

  /** Has the guest send a TCP segment with `length` bytes of arbitrary payload, on the flow with this number. */
  sendSegment(flow: number, flags: number, sequenceNumber: number, acknowledgement: number, length = 0): void {
    const { packet } = this
    const { view } = this.arena
    view.setInt32(packet + SEQUENCE, sequenceNumber)
    view.setInt32(packet + ACKNOWLEDGEMENT, acknowledgement)
    view.setUint8(packet + DATA_OFFSET, (TCP_HEADER_LENGTH / 4) << 4)
    view.setUint8(packet + FLAGS, flags)
    view.setUint16(packet + WINDOW, 0xffff)
    this.send(IpProtocol.tcp, flow, TCP_HEADER_LENGTH + length)
  }

  /**
   * Has the guest open a TCP connection, which the host accepts. Returns the guest's acknowledgement number; its
   * next sequence number is 1. The turn is ended first, because a turn opens a limited number of sockets.
   *
   * @param index the flow's place in the flow table
   */
  connect(flow: number, index: number = flow): number {
    this.stack.endTurn()
    this.sendSegment(flow, SYN_FLAG, 0, 0)
    this.stack.fromHost(targetSide(index as FlowIndex), SocketEvent.writable)
    const next = (this.arena.view.getInt32(this.received + SEQUENCE) + 1) | 0
    this.sendSegment(flow, ACKNOWLEDGEMENT_FLAG, 1, next)
    return next
  }

  /** Ends the turn; `milliseconds` pass. */
  endTurn(milliseconds = 0): void {
    this.stack.endTurn()
    this.clock.now += milliseconds
    if (this.stack.nextDeadline() > this.clock.now) return
    this.stack.expire(this.clock.now)
    this.stack.endTurn()
  }

  #guest(): Guest {
    const none = new Address()
    return {
      capabilities: { mtu: 1_500, headroom: 0, checksumOffload: true, tcpSegmentation: false, udpSegmentation: false },
      mtu: 1_500,
      ourMac: new MacAddress(),
      guestMac: new MacAddress(),
      neighbours: noNeighbours,
      hostNeighbours: noHostNeighbours,
      ourLinkLocal: none,
      lastSeenV4: none,
      lastSeenV6: none,
      lastSeenLinkLocal: none,
      hasAddress: () => false,
      isCongested: false,
      begin: () => this.received,
      redirect: () => {},
      end: () => {
        this.receivedCount++
      },
      abandon: () => {},
      hasRoom: () => true,
      beginFrame: () => -1,
      endFrame: () => {},
      flush: () => {},
    }
  }

  /** A host that takes everything, and has nothing to read. */
  #host(): Partial<Sockets> {
    const open = (): Socket => this.#sockets++ as Socket
    return {
      arena: this.arena,
      tcpConnect: open,
      udpOpen: open,
      udpBind: open,
      separatesLoopback: () => false,
      handOver: () => {},
      pingBind: open,
      send: (_, vectors, first, count) => {
        let length = 0
        for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
        return length
      },
      peek: () => -Errno.EAGAIN,
      discard: (_, length) => length,
      unacknowledged: () => 0,
      unread: () => 0,
      sendBufferSize: () => 1 << 20,
      tcpInformation: (_, into) => {
        into.minimumRtt = 0
        return 0
      },
      sendDatagrams: (_, __, ___, count) => count,
      sendDatagramsTo: (_, __, ___, ____, _____, count) => count,
      receiveDatagrams: () => -Errno.EAGAIN,
      receiveFromAnyone: () => -Errno.EAGAIN,
      receiveError: () => -Errno.EAGAIN,
      setHopLimit: () => 0,
      setTrafficClass: () => 0,
      setFragmentation: () => 0,
      stopQueuingErrors: () => {},
      connectOutcome: () => 0,
      socketError: () => 0,
      boundEnd: () => 0,
      keepAlive: () => 0,
      shutdownWrite: () => 0,
      reset: () => {},
      close: () => {},
    }
  }
}
