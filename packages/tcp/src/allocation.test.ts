/**
 * The path of a data packet allocates nothing: a garbage collector's pause delays the slowest packets.
 *
 * The handler runs on a real stack and flow table, between a guest and a host that allocate nothing either: any growth
 * of the heap is the handler's.
 */

import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import {
  Address,
  Arena,
  type Clock,
  Drops,
  EtherType,
  Interface,
  IpProtocol,
  SequenceBuffer,
  SocketEvent,
  type Sockets,
  silentLog,
  type TcpInformation,
  targetSide,
  type Vectors,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { Stack } from "@demiflow/stack"
import { bytesPerCall, QuietGuest, SeededRandom } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { TcpFlag } from "./connection/segment.ts"
import { TCP_ACKNOWLEDGEMENT, TCP_FLAGS, TCP_HEADER_LENGTH, TCP_SEQUENCE } from "./driver/wire.ts"
import { tcp } from "./index.ts"

setFlagsFromString("--expose-gc")
const heap = { collect: runInNewContext("gc") as () => void, used: () => process.memoryUsage().heapUsed }

const SEGMENTS = 8
const SEGMENT_BYTES = 1_460

/** What happens in each turn. */
interface Kind {
  /** Segments from the guest, in one sequence; each acknowledges everything that the guest was sent. */
  readonly segments: number
  readonly bytes: number
  /** Bytes that the host has for the guest. */
  readonly waiting: number
  /** True if the guest's link splits segments. */
  readonly isCut?: boolean
  /** True if the socket takes half at first, and the rest when it is writable. */
  readonly takesHalf?: boolean
}

const fromGuest = { segments: SEGMENTS, bytes: SEGMENT_BYTES }
const nothingFromGuest = { segments: 1, bytes: 0 }
const kinds: Record<string, Kind> = {
  "from the guest": { ...fromGuest, waiting: 0 },
  "from the guest to a full socket": { ...fromGuest, waiting: 0, takesHalf: true },
  "to the guest": { ...nothingFromGuest, waiting: 20_000 },
  "to the guest, cut by its link": { ...nothingFromGuest, waiting: 50_000, isCut: true },
  "both ways": { ...fromGuest, waiting: 20_000 },
  "a byte each way": { segments: 1, bytes: 1, waiting: 1 },
}

/** Keeps our latest numbers, as the guest has them. */
class Guest extends QuietGuest {
  sequence = 0
  acknowledgement = 0
  /** Payload bytes that the guest received, modulo 2^32. */
  bytes = 0
  readonly #view: DataView

  constructor(arena: Arena, isCut: boolean) {
    super(arena, isCut)
    this.#view = arena.view
  }

  override end(offset: number, length: number): void {
    super.end(offset, length)
    const view = this.#view
    const isSyn = (view.getUint8(offset + TCP_FLAGS) & TcpFlag.syn) !== 0
    const end = isSyn ? 1 : length - TCP_HEADER_LENGTH
    const reached = (view.getInt32(offset + TCP_SEQUENCE) + end) | 0
    if (!isSyn) this.bytes = (this.bytes + end) | 0
    if (isSyn || ((reached - this.sequence) | 0) > 0) this.sequence = reached
    this.acknowledgement = view.getInt32(offset + TCP_ACKNOWLEDGEMENT)
  }
}

/** A stack with one connection. Guest and host are a few counters. */
class Bench {
  readonly arena = new Arena(16 << 20)
  readonly #clock: { now: number } & Clock = { now: 1_000 }
  readonly #frames = this.arena.reserve(SEGMENTS * 2_048)
  readonly #sequence = new SequenceBuffer(SEGMENTS)
  readonly #flows: FixedFlowTable
  readonly #stack: Stack
  readonly #guest: Guest
  readonly #kind: Kind
  /** The guest's next number. */
  #number = 1_000
  /** Payload bytes that the host has for the guest. */
  #waiting = 0
  /** Payload bytes that the socket took. */
  taken = 0

  constructor(acknowledgeOnAcceptRtt: number, kind: Kind) {
    this.#kind = kind
    const drops = new Drops()
    const random = new SeededRandom(1)
    this.#flows = new FixedFlowTable({ capacity: 64, random, drops })
    const { arena } = this
    this.#guest = new Guest(arena, kind.isCut ?? false)
    const forwarding = new ForwardingPolicy({ v4: {}, v6: {} }, drops)
    const parts = { arena, guest: this.#guest, sockets: this.#host(), flows: this.#flows, forwarding, random, drops }
    this.#stack = new Stack({ ...parts, clock: this.#clock, log: silentLog }, [
      tcp({ holdPoolSize: 1 << 20, acknowledgeOnAcceptRtt }),
    ])
    const { demiflow } = this.#sequence
    this.#sequence.etherType = EtherType.ipv4
    this.#sequence.protocol = IpProtocol.tcp
    demiflow.interface = Interface.tap
    demiflow.correspondentAddress.copyFrom(Address.parse("192.0.2.2"))
    demiflow.correspondentPort = 40_000
    demiflow.forwardingAddress.copyFrom(Address.parse("198.51.100.7"))
    demiflow.forwardingPort = 80
    for (let index = 0; index < SEGMENTS; index++) {
      this.#sequence.transportOffset[index] = this.#frames + index * 2_048
      this.#sequence.checksumTrusted[index] = 1
      this.#sequence.hopLimit[index] = 64
    }
    this.#connect()
  }

  get flows(): number {
    return this.#flows.size
  }

  /** Payload bytes that the guest was sent, modulo 2^32. */
  get sent(): number {
    return this.#guest.bytes
  }

  /** Runs one turn: segments of the guest, and an event of the host. */
  turn(): void {
    const { segments, bytes, waiting, takesHalf } = this.#kind
    this.#clock.now++
    this.#fill(segments, bytes, TcpFlag.acknowledgement)
    this.#stack.fromGuest(this.#sequence)
    if (waiting > 0 || takesHalf) {
      this.#waiting = waiting
      this.#stack.fromHost(targetSide(0 as never), SocketEvent.readable | SocketEvent.writable)
    }
    this.#stack.expire(this.#clock.now)
    this.#stack.endTurn()
  }

  #connect(): void {
    this.#fill(1, 0, TcpFlag.syn)
    this.#stack.fromGuest(this.#sequence)
    this.#number++
    this.#stack.fromHost(targetSide(0 as never), SocketEvent.writable)
    this.#stack.endTurn()
    this.#fill(1, 0, TcpFlag.acknowledgement)
    this.#stack.fromGuest(this.#sequence)
  }

  #fill(segments: number, bytes: number, flags: number): void {
    const { view } = this.arena
    const sequence = this.#sequence
    sequence.count = segments
    for (let index = 0; index < segments; index++) {
      const header = sequence.transportOffset[index]
      view.setUint16(header, 40_000)
      view.setUint16(header + 2, 80)
      view.setInt32(header + TCP_SEQUENCE, this.#number)
      view.setInt32(header + TCP_ACKNOWLEDGEMENT, this.#guest.sequence)
      view.setUint8(header + 12, 5 << 4)
      view.setUint8(header + TCP_FLAGS, flags)
      view.setUint16(header + 14, 0xffff)
      sequence.endOffset[index] = header + TCP_HEADER_LENGTH + bytes
      this.#number = (this.#number + bytes) | 0
    }
  }

  /** Takes everything sent, or half of it every other time, and delivers what waits. */
  #host(): Sockets {
    let inFlight = 0
    let isFull = false
    const sum = (vectors: Vectors, first: number, count: number): number => {
      let length = 0
      for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
      return length
    }
    const host = {
      arena: this.arena,
      tcpConnect: () => 3,
      send: (_: number, vectors: Vectors, first: number, count: number) => {
        isFull = !isFull && this.#kind.takesHalf === true
        inFlight = isFull ? sum(vectors, first, count) >> 1 : sum(vectors, first, count)
        this.taken += inFlight
        return inFlight
      },
      peek: (_: number, vectors: Vectors, first: number, count: number) => {
        const got = Math.min(sum(vectors, first, count), this.#waiting)
        this.#waiting -= got
        return got > 0 ? got : -11
      },
      discard: (_: number, length: number) => length,
      // Half of what was sent last is in flight.
      unacknowledged: () => inFlight >> 1,
      unread: () => this.#waiting,
      sendBufferSize: () => 1 << 20,
      tcpInformation: (_: number, into: TcpInformation) => {
        into.minimumRtt = 5_000
        return 0
      },
      connectOutcome: () => 0,
      socketError: () => 0,
      boundEnd: () => 0,
      keepAlive: () => 0,
      shutdownWrite: () => 0,
      reset: () => {},
      close: () => {},
    }
    return host as unknown as Sockets
  }

  get acknowledged(): number {
    return (this.#guest.acknowledgement - this.#number) | 0
  }
}

describe.each([
  ["near", 10_000],
  ["far", 1_000],
])("established data, the correspondent being %s", (_, acknowledgeOnAcceptRtt) => {
  test.each(Object.entries(kinds))("%s takes no memory", (_, kind) => {
    const bench = new Bench(acknowledgeOnAcceptRtt, kind)
    let turns = 0
    const bytes = bytesPerCall(heap, () => {
      turns++
      bench.turn()
    })
    expect(bytes).toBeLessThan(1)
    expect(bench.flows).toBe(1)
    expect(bench.taken).toBe(turns * kind.segments * kind.bytes)
    expect(bench.sent).toBe((turns * kind.waiting) | 0)
    expect(bench.acknowledged).toBeLessThanOrEqual(0)
  })
})
