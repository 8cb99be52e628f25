/**
 * Nothing on the path of a data packet allocates: for a garbage collector's pause is what the slowest packet waits for.
 *
 * The handler runs on a real stack and flow table here, between a guest and a host that allocate nothing either, so that what
 * the heap grows by is the handler's. Without a collection in between, every object counts, however soon it dies.
 */

import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import {
  Address,
  Arena,
  type Clock,
  Drops,
  EtherType,
  type Guest,
  type Host,
  HostEvent,
  Interface,
  IpProtocol,
  MacAddress,
  Sequence,
  Stack,
  silentLog,
  type TcpInformation,
  targetSide,
  type Vectors,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { SeededRandom } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { tcp } from "./index.ts"
import { TCP_ACKNOWLEDGEMENT, TCP_FLAGS, TCP_SEQUENCE, TcpFlag } from "./wire.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const SEGMENTS = 8
const SEGMENT_BYTES = 1_460
const TURNS = 6_000
/** Measuring costs something, and so does a late optimisation. The smallest object has 16 bytes. */
const TOLERATED_BYTES_PER_PACKET = 2

/** A stack with one connection, whose ends are a few numbers. */
class Bench {
  readonly arena = new Arena(8 << 20)
  readonly #clock: { now: number } & Clock = { now: 1_000 }
  readonly #frames = this.arena.reserve(SEGMENTS * 2_048)
  readonly #out = this.arena.reserve(1 << 20)
  readonly #sequence = new Sequence(SEGMENTS)
  readonly #flows: FixedFlowTable
  readonly #stack: Stack
  #next = 0
  /** Our latest numbers, as the guest has them. */
  #sequenceToGuest = 0
  #acknowledgement = 0
  /** The guest's next number. */
  #number = 1_000
  /** Payload that the host has for the guest. */
  waiting = 0
  packets = 0

  constructor(acknowledgeOnAcceptRtt: number) {
    const drops = new Drops()
    const random = new SeededRandom(1)
    this.#flows = new FixedFlowTable({ capacity: 64, random, drops })
    const { arena } = this
    const forwarding = new ForwardingPolicy({ v4: {}, v6: {} }, drops)
    const parts = { arena, guest: this.#guest(), host: this.#host(), flows: this.#flows, forwarding, random, drops }
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
    }
    this.#connect()
  }

  get flows(): number {
    return this.#flows.size
  }

  /** One turn: segments of the guest, all it was sent being acknowledged, and an event of the host's. */
  turn(segments: number, bytes: number, hasEvent: boolean): void {
    this.#clock.now++
    this.#fill(segments, bytes, TcpFlag.acknowledgement)
    this.#stack.fromTap(this.#sequence)
    if (hasEvent) {
      this.waiting = 20_000
      this.#stack.fromHost(targetSide(0 as never), HostEvent.readable | HostEvent.writable)
    }
    this.#stack.expire(this.#clock.now)
    this.#stack.endTurn()
  }

  #connect(): void {
    this.#fill(1, 0, TcpFlag.syn)
    this.#stack.fromTap(this.#sequence)
    this.#number++
    this.#stack.fromHost(targetSide(0 as never), HostEvent.writable)
    this.#stack.endTurn()
    this.turn(1, 0, false)
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
      view.setInt32(header + TCP_ACKNOWLEDGEMENT, this.#sequenceToGuest)
      view.setUint8(header + 12, 5 << 4)
      view.setUint8(header + TCP_FLAGS, flags)
      view.setUint16(header + 14, 0xffff)
      sequence.endOffset[index] = header + 20 + bytes
      this.#number = (this.#number + bytes) | 0
      this.packets++
    }
  }

  /** Packets to the guest overwrite each other; what is kept is how far they reach. */
  #guest(): Guest {
    const none = new Address()
    return {
      capabilities: { mtu: 1_500, headroom: 0, checksumOffload: true, tcpSegmentation: false, udpSegmentation: false },
      mtu: 1_500,
      ourMac: new MacAddress(),
      guestMac: new MacAddress(),
      ourLinkLocal: none,
      lastSeenV4: none,
      lastSeenV6: none,
      lastSeenLinkLocal: none,
      isCongested: false,
      begin: () => {
        this.#next = (this.#next + 2_048) % (1 << 20)
        return this.#out + this.#next
      },
      end: (offset, length) => {
        const { view } = this.arena
        const isSyn = (view.getUint8(offset + TCP_FLAGS) & TcpFlag.syn) !== 0
        const end = isSyn ? 1 : length - 20
        const reached = (view.getInt32(offset + TCP_SEQUENCE) + end) | 0
        if (isSyn || ((reached - this.#sequenceToGuest) | 0) > 0) this.#sequenceToGuest = reached
        this.#acknowledgement = view.getInt32(offset + TCP_ACKNOWLEDGEMENT)
        this.packets++
      },
      abandon: () => {},
      beginFrame: () => -1,
      endFrame: () => {},
      flush: () => {},
    }
  }

  /** Takes all there is, and gives what `waiting` says. */
  #host(): Host {
    let inFlight = 0
    const sum = (vectors: Vectors, first: number, count: number): number => {
      let length = 0
      for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
      return length
    }
    const host = {
      arena: this.arena,
      tcpConnect: () => 3,
      send: (_: number, vectors: Vectors, first: number, count: number) => {
        inFlight = sum(vectors, first, count)
        return inFlight
      },
      peek: (_: number, vectors: Vectors, first: number, count: number) => {
        const got = Math.min(sum(vectors, first, count), this.waiting)
        this.waiting -= got
        return got > 0 ? got : -11
      },
      discard: (_: number, length: number) => length,
      // Half of what was sent last is on its way.
      unacknowledged: () => inFlight >> 1,
      unread: () => this.waiting,
      sendBufferSize: () => 1 << 20,
      tcpInformation: (_: number, into: TcpInformation) => {
        into.minimumRtt = 5_000
        return 0
      },
      socketError: () => 0,
      boundEnd: () => 0,
      shutdownWrite: () => 0,
      reset: () => {},
      close: () => {},
    }
    return host as unknown as Host
  }

  get acknowledged(): number {
    return (this.#acknowledgement - this.#number) | 0
  }
}

const kinds = {
  "from the guest": [SEGMENTS, SEGMENT_BYTES, false],
  "to the guest": [1, 0, true],
  "both ways": [SEGMENTS, SEGMENT_BYTES, true],
} as const

describe.each([
  ["near", 10_000],
  ["far", 1_000],
])("established data, the correspondent being %s", (_, acknowledgeOnAcceptRtt) => {
  test.each(Object.entries(kinds))(
    "%s takes no memory",
    (_, [segments, bytes, hasEvent]) => {
      const bench = new Bench(acknowledgeOnAcceptRtt)
      const run = () => {
        for (let turn = 0; turn < TURNS; turn++) bench.turn(segments, bytes, hasEvent)
      }
      // Until it is optimised.
      run()
      run()
      // A late optimisation, or a collection by itself, spoils a measurement: the best of a few counts.
      let best = Number.POSITIVE_INFINITY
      for (let attempt = 0; attempt < 4 && best > TOLERATED_BYTES_PER_PACKET; attempt++) {
        collect()
        const before = process.memoryUsage().heapUsed
        const packets = bench.packets
        run()
        const grown = process.memoryUsage().heapUsed - before
        // Less than before: there was a collection.
        if (grown >= 0) best = Math.min(best, grown / (bench.packets - packets))
      }
      expect(best).toBeLessThan(TOLERATED_BYTES_PER_PACKET)
      expect(bench.flows).toBe(1)
      expect(bench.packets).toBeGreaterThan(3 * TURNS * segments)
      expect(bench.acknowledged).toBeLessThanOrEqual(0)
    },
    60_000,
  )
})
