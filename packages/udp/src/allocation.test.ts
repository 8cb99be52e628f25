/**
 * The path of a datagram allocates nothing once its flow exists, neither for each datagram nor for each call.
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
  type DatagramBatch,
  type Demiflow,
  Drops,
  Errno,
  EtherType,
  Interface,
  IpProtocol,
  SequenceBuffer,
  SocketEvent,
  type Sockets,
  silentLog,
  targetSide,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { Stack } from "@demiflow/stack"
import { bytesPerCall, QuietGuest, SeededRandom } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { udp } from "./index.ts"

setFlagsFromString("--expose-gc")
const heap = { collect: runInNewContext("gc") as () => void, used: () => process.memoryUsage().heapUsed }

const DATAGRAMS = 8
const PAYLOAD = 1_400
const LONG_PAYLOAD = 5_600
const GUEST_PORT = 40_000
const PORT = 53

/** What happens in each turn. */
interface Kind {
  /** Datagrams from the guest, in one sequence. */
  readonly fromGuest: number
  /** Datagrams that wait in the socket. */
  readonly toGuest: number
  /** True if each is four of {@link PAYLOAD} bytes that the kernel or the guest has coalesced. */
  readonly isTogether?: boolean
  /** True if the guest's link splits coalesced datagrams. */
  readonly isCut?: boolean
  /** Number of correspondents, in turn: a flow for each, all at one port. 1 by default. */
  readonly correspondents?: number
  /** True if the port is a listening one that leads to the guest's. */
  readonly isListening?: boolean
}

const kinds: Record<string, Kind> = {
  "from the guest": { fromGuest: DATAGRAMS, toGuest: 0 },
  "from the guest, left together": { fromGuest: DATAGRAMS, toGuest: 0, isTogether: true },
  "to the guest": { fromGuest: 0, toGuest: DATAGRAMS },
  "to the guest, put together for its link": { fromGuest: 0, toGuest: DATAGRAMS, isCut: true },
  "to the guest, left together": { fromGuest: 0, toGuest: DATAGRAMS, isTogether: true, isCut: true },
  "both ways": { fromGuest: DATAGRAMS, toGuest: DATAGRAMS },
  "request and response": { fromGuest: 1, toGuest: 1 },
  "with several correspondents": { fromGuest: 1, toGuest: DATAGRAMS, isCut: true, correspondents: 4 },
  "at a listening port": { fromGuest: 1, toGuest: DATAGRAMS, isCut: true, correspondents: 4, isListening: true },
}

const families = [
  ["IPv4", EtherType.ipv4, "192.0.2.2", "198.51.100.7", "203.0.113.1"],
  ["IPv6", EtherType.ipv6, "2001:db8::2", "2001:db8:1::7", "2001:db8:2::1"],
] as const

/** Counts the payload bytes that it receives. */
class Guest extends QuietGuest {
  bytes = 0

  override end(offset: number, length: number): void {
    super.end(offset, length)
    this.bytes = (this.bytes + length - UDP_HEADER_LENGTH) | 0
  }
}

/** A stack with a few flows. Guest and host are a few counters. */
class Exchange {
  readonly drops = new Drops()
  readonly guest: Guest
  readonly #arena = new Arena(16 << 20)
  readonly #clock: { now: number } & Clock = { now: 1_000 }
  readonly #sequence = new SequenceBuffer(DATAGRAMS)
  readonly #flows: FixedFlowTable
  readonly #stack: Stack
  readonly #kind: Kind
  readonly #correspondents: Address[] = []
  /** The host's address that datagrams come to. */
  readonly #own: Address
  #waiting = 0
  #next = 0
  /** Bytes that the socket took, modulo 2^32. */
  taken = 0

  constructor(kind: Kind, etherType: number, guestAddress: string, address: string, own: string) {
    const { drops } = this
    const arena = this.#arena
    const random = new SeededRandom(1)
    this.#kind = kind
    this.#own = Address.parse(own)
    for (let count = kind.correspondents ?? 1; count > 0; count--) {
      const correspondent = Address.parse(address)
      correspondent.word3 += count - 1
      this.#correspondents.push(correspondent)
    }
    this.guest = new Guest(arena, kind.isCut ?? false)
    this.#flows = new FixedFlowTable({ capacity: 64, random, drops })
    const forwarding = new ForwardingPolicy({ v4: {}, v6: {} }, drops)
    const parts = { arena, guest: this.guest, sockets: this.#host(), flows: this.#flows, forwarding, random, drops }
    this.#stack = new Stack({ ...parts, clock: this.#clock, log: silentLog }, [udp()])
    this.#sequence.etherType = etherType
    this.#sequence.protocol = IpProtocol.udp
    const { demiflow } = this.#sequence
    demiflow.interface = Interface.tap
    demiflow.correspondentAddress.copyFrom(Address.parse(guestAddress))
    demiflow.correspondentPort = GUEST_PORT
    demiflow.forwardingPort = PORT
    this.#fill()
    if (kind.isListening) {
      const end = { address: undefined, interfaceName: undefined, freebind: false, port: GUEST_PORT }
      this.#stack.listen(IpProtocol.udp, end, undefined, GUEST_PORT)
    }
    for (let flow = 0; flow < this.#correspondents.length; flow++) this.#fromGuest(1)
  }

  get flows(): number {
    return this.#flows.size
  }

  get payload(): number {
    return this.#kind.isTogether ? LONG_PAYLOAD : PAYLOAD
  }

  /** Runs one turn: datagrams of the guest, and an event of the socket. */
  turn(): void {
    const { fromGuest, toGuest } = this.#kind
    this.#clock.now++
    if (fromGuest > 0) this.#fromGuest(fromGuest)
    if (toGuest > 0) {
      this.#waiting = toGuest
      const events = SocketEvent.readable | SocketEvent.writable
      if (this.#kind.isListening) this.#stack.fromListener(0 as never, events)
      else this.#stack.fromHost(targetSide(0 as never), events)
    }
    this.#stack.expire(this.#clock.now)
    this.#stack.endTurn()
  }

  #fromGuest(count: number): void {
    this.#sequence.count = count
    this.#sequence.demiflow.forwardingAddress.copyFrom(this.#nextCorrespondent())
    this.#stack.fromGuest(this.#sequence)
  }

  #nextCorrespondent(): Address {
    this.#next = (this.#next + 1) % this.#correspondents.length
    return this.#correspondents[this.#next]
  }

  #fill(): void {
    const { view } = this.#arena
    const sequence = this.#sequence
    const length = UDP_HEADER_LENGTH + this.payload
    for (let index = 0; index < DATAGRAMS; index++) {
      const header = this.#arena.reserve(length)
      view.setUint16(header + UDP_SOURCE_PORT, GUEST_PORT)
      view.setUint16(header + UDP_TARGET_PORT, PORT)
      view.setUint16(header + UDP_LENGTH, length)
      view.setUint16(header + UDP_CHECKSUM, 0xffff)
      sequence.transportOffset[index] = header
      sequence.endOffset[index] = header + length
      sequence.segmentSize[index] = this.#kind.isTogether ? PAYLOAD : 0
      sequence.hopLimit[index] = 64
      sequence.checksumTrusted[index] = 1
    }
  }

  /** Takes everything sent, and delivers what waits. */
  #host(): Sockets {
    const host = {
      arena: this.#arena,
      udpBind: () => 3,
      udpListen: () => 4,
      separatesLoopback: () => false,
      boundEnd: () => 0,
      setHopLimit: () => 0,
      setFragmentation: () => 0,
      receiveError: () => 0,
      sendDatagramsTo: (_: number, __: Demiflow, ___: number, batch: DatagramBatch, first: number, count: number) => {
        for (let index = first; index < first + count; index++) this.taken = (this.taken + batch.length[index]) | 0
        return count
      },
      receiveFromAnyone: (_: number, batch: DatagramBatch, ends: readonly Demiflow[], count: number) => {
        const got = Math.min(count, this.#waiting)
        for (let index = 0; index < got; index++) {
          ends[index].correspondentAddress.copyFrom(this.#nextCorrespondent())
          ends[index].correspondentPort = PORT
          if (this.#kind.isListening) {
            ends[index].forwardingAddress.copyFrom(this.#own)
            ends[index].forwardingPort = GUEST_PORT
          }
          batch.length[index] = this.payload
          batch.segmentSize[index] = this.#kind.isTogether ? PAYLOAD : 0
        }
        this.#waiting -= got
        return got > 0 ? got : -Errno.EAGAIN
      },
      close: () => {},
    }
    return host as unknown as Sockets
  }
}

describe.each(families)("a flow over %s", (_, etherType, guestAddress, address, own) => {
  test.each(Object.entries(kinds))("%s takes no memory", (_, kind) => {
    const exchange = new Exchange(kind, etherType, guestAddress, address, own)
    const { payload, taken } = exchange
    let turns = 0
    const bytes = bytesPerCall(heap, () => {
      turns++
      exchange.turn()
    })
    expect(bytes).toBeLessThan(1)
    expect(exchange.flows).toBe(kind.correspondents ?? 1)
    expect(exchange.drops.total).toBe(0)
    expect(exchange.taken).toBe((taken + turns * kind.fromGuest * payload) | 0)
    expect(exchange.guest.bytes).toBe((turns * kind.toGuest * payload) | 0)
  })
})
