/**
 * The path of an echo request and its reply allocates nothing, once their flow exists.
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
  ICMP_IDENTIFIER,
  ICMP_TYPE,
  Interface,
  IpProtocol,
  SequenceBuffer,
  SocketEvent,
  type Sockets,
  silentLog,
  targetSide,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { Stack } from "@demiflow/stack"
import { bytesPerCall, QuietGuest, SeededRandom } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { icmp } from "./index.ts"
import { type Family, families } from "./test-support.ts"

setFlagsFromString("--expose-gc")
const heap = { collect: runInNewContext("gc") as () => void, used: () => process.memoryUsage().heapUsed }

const LENGTH = 64
const IDENTIFIER = 77

/** A stack with an echo flow for each of some servers. Guest and host are a few counters. */
class Echo {
  readonly drops = new Drops()
  readonly guest: QuietGuest
  readonly #arena = new Arena(16 << 20)
  readonly #clock: { now: number } & Clock = { now: 1_000 }
  readonly #sequence = new SequenceBuffer(1)
  readonly #flows: FixedFlowTable
  readonly #stack: Stack
  readonly #family: Family
  readonly #servers: readonly Address[]
  readonly #asked = new Address()
  #turns = 0
  /** Requests without a reply so far. */
  #waiting = 0

  constructor(family: Family, servers: readonly string[]) {
    const { drops } = this
    this.#servers = servers.map((server) => Address.parse(server))
    const arena = this.#arena
    const random = new SeededRandom(1)
    this.#family = family
    this.guest = new QuietGuest(arena, false)
    this.#flows = new FixedFlowTable({ capacity: 64, random, drops })
    const forwarding = new ForwardingPolicy({ v4: {}, v6: {} }, drops)
    const parts = { arena, guest: this.guest, sockets: this.#host(), flows: this.#flows, forwarding, random, drops }
    this.#stack = new Stack({ ...parts, clock: this.#clock, log: silentLog }, [icmp()])
    this.#fill()
  }

  get flows(): number {
    return this.#flows.size
  }

  /** Runs one turn: a request of the guest, and the event of its reply. */
  turn(): void {
    this.#clock.now++
    const server = this.#servers[this.#turns++ % this.#servers.length]
    if (server !== undefined) this.#sequence.demiflow.forwardingAddress.copyFrom(server)
    this.#stack.fromGuest(this.#sequence)
    this.#stack.fromHost(targetSide(0 as never), SocketEvent.readable | SocketEvent.writable)
    if (this.#stack.nextDeadline() <= this.#clock.now) this.#stack.expire(this.#clock.now)
    this.#stack.endTurn()
  }

  #fill(): void {
    const { view } = this.#arena
    const { version, guestAddress, request } = this.#family
    const sequence = this.#sequence
    sequence.protocol = version === 4 ? IpProtocol.icmp : IpProtocol.icmpv6
    sequence.demiflow.interface = Interface.tap
    sequence.demiflow.correspondentAddress.copyFrom(Address.parse(guestAddress))
    const header = this.#arena.reserve(LENGTH)
    view.setUint8(header + ICMP_TYPE, request)
    view.setUint16(header + ICMP_IDENTIFIER, IDENTIFIER)
    sequence.count = 1
    sequence.transportOffset[0] = header
    sequence.endOffset[0] = header + LENGTH
    sequence.hopLimit[0] = 64
    sequence.checksumTrusted[0] = 1
  }

  /** Answers each request once. */
  #host(): Sockets {
    const host = {
      arena: this.#arena,
      pingBind: () => 3,
      separatesLoopback: () => false,
      setFragmentation: () => 0,
      receiveError: () => 0,
      sendDatagramsTo: (_: number, { correspondentAddress }: Demiflow) => {
        this.#asked.copyFrom(correspondentAddress)
        this.#waiting++
        return 1
      },
      receiveFromAnyone: (_: number, batch: DatagramBatch, ends: readonly Demiflow[]) => {
        if (this.#waiting === 0) return -Errno.EAGAIN
        this.#waiting--
        batch.length[0] = LENGTH
        ends[0].correspondentAddress.copyFrom(this.#asked)
        this.#arena.view.setUint16(batch.offset[0] + ICMP_TYPE, this.#family.reply << 8)
        return 1
      },
      close: () => {},
    }
    return host as unknown as Sockets
  }
}

describe.each(families)("echo over IPv$version takes no memory", (family) => {
  const { routers, server } = family
  test.each([{ servers: [server] }, { servers: [server, ...routers] }])("with $servers", ({ servers }) => {
    const echo = new Echo(family, servers)
    let turns = 0
    const bytes = bytesPerCall(heap, () => {
      turns++
      echo.turn()
    })
    expect(bytes).toBeLessThan(1)
    expect(echo.flows).toBe(servers.length)
    expect(echo.drops.total).toBe(0)
    expect(echo.guest.packets).toBe(turns)
  })
})
