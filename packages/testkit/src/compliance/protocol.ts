import {
  Address,
  HostEvent,
  initiatingSide,
  MacAddress,
  type ProtocolHandler,
  type ProtocolPlugin,
  targetSide,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { type MemoryStack, type MemoryStackOptions, memoryStack } from "../memory-stack.ts"
import { ethernet } from "../packets/build-network.ts"
import { buildInside, buildPacket, type Layer, replaceInside } from "../packets/layer.ts"
import { SeededRandom } from "../seeded-random.ts"

/** A guest, as samples are made for it. */
export interface SampleGuest {
  readonly mac: MacAddress
  readonly v4: Address
  readonly v6: Address
  readonly linkLocal: Address
  /** A number that no other guest of a test has, for ports and identifiers. */
  readonly number: number
}

/** A protocol, and packets that it is made for. */
export interface ProtocolUnderTest {
  readonly plugin: ProtocolPlugin
  /**
   * Good packets of a guest, each from the network layer (or what is right behind Ethernet) on, in the order of a
   * conversation. The protocol handles every one of them.
   */
  samples(guest: SampleGuest): readonly (readonly Layer[])[]
  /**
   * Addresses that a guest is answered at besides its own, where a protocol assigns them. Answers to groups and
   * broadcasts are everybody's.
   */
  answeredAt?(guest: SampleGuest): readonly Address[]
  /** Says how the world is, such as who listens. */
  prepare?(stack: MemoryStack): void
  /** Changes how the stack is set up. */
  readonly options?: MemoryStackOptions
}

const DAY = 24 * 3_600_000
/** What is done to a byte. */
const CHANGES: readonly ((byte: number) => number)[] = [() => 0, () => 0xff, (byte) => byte ^ 1, (byte) => byte ^ 0x80]

/**
 * Tests that a protocol plugin keeps to what `ProtocolHandler` of `@demiflow/core` promises, and to what holds for every
 * protocol of demiflow: answers go to those who asked, nothing is thrown whatever comes, nothing is left behind. Call it
 * inside a test file; it makes its tests with vitest.
 *
 * @param setup describes the protocol, anew for each test
 */
export function protocolCompliance(setup: () => ProtocolUnderTest): void {
  describe("claims", () => claimTests(setup))
  describe("good packets", () => sampleTests(setup))
  describe("bad packets", () => hostileTests(setup))
  describe("the end of flows", () => endTests(setup))
}

/** A stack with the protocol. */
class Bench {
  readonly stack: MemoryStack
  readonly handler: ProtocolHandler
  /** The samples of two guests, from the Ethernet header on. */
  readonly samples: (readonly (readonly Layer[])[])[]

  constructor(under: ProtocolUnderTest, options: MemoryStackOptions = {}) {
    const host = { ...under.options?.host, ...options.host }
    this.stack = memoryStack([under.plugin], { ...under.options, ...options, host })
    this.handler = this.stack.stack.handlers[0]
    under.prepare?.(this.stack)
    this.samples = [0, 1].map((number) => {
      const guest = sampleGuest(number)
      return under.samples(guest).map((layers) => [ethernet({ source: guest.mac }), ...layers])
    })
    // What is sent unasked when the stack starts is nobody's answer.
    this.stack.guest.takeAll()
  }

  /** Sends all samples of a guest, letting each have its effect. */
  readonly sendSamples = (number = 0): void => {
    for (const layers of this.samples[number]) this.send(layers)
  }

  readonly send = (layers: readonly Layer[]): void => {
    this.stack.guest.sendFrame(buildPacket(...layers))
    this.stack.run(0)
  }

  /** Sends a packet for whose transport checksum the link vouches, so that what is inside is read. */
  readonly sendTrusted = (layers: readonly Layer[]): void => {
    const checksumStart = layers[1]?.pseudoHeader === undefined ? 0 : 34
    this.stack.guest.sendFrame(buildPacket(...layers), { checksumStart })
    this.stack.run(0)
  }
}

function sampleGuest(number: number): SampleGuest {
  const [v4, v6, linkLocal] = [`192.0.2.${10 + number}`, `2001:db8::${10 + number}`, `fe80::${10 + number}`]
  return {
    mac: new MacAddress(0x0200, 0x10 + number),
    v4: Address.parse(v4),
    v6: Address.parse(v6),
    linkLocal: Address.parse(linkLocal),
    number,
  }
}

function claimTests(setup: () => ProtocolUnderTest): void {
  it("has a name, and claims that can be met", () => {
    const { handler } = new Bench(setup())
    expect(handler.name).not.toBe("")
    expect(handler.claims.length).toBeGreaterThan(0)
    for (const claim of handler.claims) {
      if ("etherType" in claim) {
        // Less is a length (IEEE 802.3, clause 3.2.6).
        expect(claim.etherType).toBeGreaterThanOrEqual(0x600)
        expect(claim.etherType).toBeLessThanOrEqual(0xffff)
        continue
      }
      if ("otherIpProtocols" in claim) continue
      expect(claim.ipProtocol).toBeGreaterThanOrEqual(0)
      expect(claim.ipProtocol).toBeLessThanOrEqual(255)
      expect(claim.forwardingPort ?? 0).toBeGreaterThanOrEqual(0)
      expect(claim.forwardingPort ?? 0).toBeLessThanOrEqual(0xffff)
    }
  })

  it("sees its samples, and handles them", () => {
    const { stack, samples, sendSamples } = new Bench(setup())
    expect(samples[0].length).toBeGreaterThan(0)
    sendSamples()
    expect(stack.drops.get("stack: no handler")).toBe(0)
  })

  it("may be set up on several stacks", () => {
    const under = setup()
    for (const bench of [new Bench(under), new Bench(under)]) {
      bench.sendSamples()
      expect(bench.stack.drops.get("stack: no handler")).toBe(0)
    }
  })
}

function sampleTests(setup: () => ProtocolUnderTest): void {
  it("are answered with well-formed frames", () => {
    const { stack, sendSamples } = new Bench(setup())
    sendSamples()
    stack.run(10_000)
    for (const { problems } of stack.guest.takeAll()) expect(problems).toEqual([])
  })

  it("are answered at the address that they came from, when two guests speak at once", () => {
    const under = setup()
    const { stack, samples, send } = new Bench(under)
    const guests = [0, 1].map(sampleGuest)
    for (let index = 0; index < samples[0].length; index++) {
      for (const number of [0, 1]) {
        send(samples[number][index])
        for (const { ip, arp } of stack.guest.takeAll()) {
          const target = ip?.target ?? arp?.targetAddress
          if (target === undefined || target.isMulticast || target.isLimitedBroadcast) continue
          const { v4, v6, linkLocal } = guests[number]
          const own = [v4, v6, linkLocal, ...(under.answeredAt?.(guests[number]) ?? [])]
          expect(own.map(String)).toContain(String(target))
        }
      }
    }
  })
}

function hostileTests(setup: () => ProtocolUnderTest): void {
  /**
   * Sends bad versions of all samples: each layer's bytes spoilt, once as they are and once with lengths and checksums
   * around them right. Afterwards, a good conversation must work as it does without all that.
   */
  function expectUnharmed(spoil: (bytes: Uint8Array) => Iterable<Uint8Array>): void {
    const healthy = new Bench(setup())
    healthy.sendSamples(1)
    const answers = healthy.stack.guest.takeAll().length
    const { stack, samples, send, sendTrusted, sendSamples } = new Bench(setup())
    for (const layers of samples[0]) {
      for (let depth = 0; depth < layers.length; depth++) {
        for (const bytes of spoil(buildInside(layers, depth))) {
          const bad = replaceInside(layers, depth, bytes)
          send(bad)
          sendTrusted(bad)
          // An assertion for each of them would take most of the time.
          const ill = stack.guest.takeAll().find(({ problems }) => problems.length > 0)
          if (ill !== undefined) expect(ill.problems).toEqual([])
        }
      }
    }
    // Time for what the bad packets began to end.
    stack.run(DAY)
    stack.guest.takeAll()
    sendSamples(1)
    expect(stack.guest.takeAll().length).toBe(answers)
    expect(stack.host.violations).toEqual([])
  }

  it("with one byte changed, do no harm", () => {
    expectUnharmed(function* (bytes) {
      for (let index = 0; index < bytes.length; index++) {
        for (const change of CHANGES) {
          const bad = bytes.slice()
          bad[index] = change(bytes[index])
          yield bad
        }
      }
    })
  })

  it("cut off or drawn out, do no harm", () => {
    expectUnharmed(function* (bytes) {
      for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length)
      for (const extra of [1, 2, 3, 7, 64]) {
        const bad = new Uint8Array(bytes.length + extra)
        bad.set(bytes)
        yield bad
      }
    })
  })

  it("with many bytes changed at once, do no harm", () => {
    const random = new SeededRandom(7)
    expectUnharmed(function* (bytes) {
      for (let round = 0; round < 100 && bytes.length > 0; round++) {
        const bad = bytes.slice()
        for (let count = random.between(2, 12); count > 0; count--) bad[random.below(bad.length)] = random.int32()
        yield bad
      }
    })
  })
}

function endTests(setup: () => ProtocolUnderTest): void {
  /** Nothing that belongs to a flow may be left. */
  function expectNothingLeft({ flows, host }: MemoryStack): void {
    expect(flows.size).toBe(0)
    expect(host.openSockets).toBe(0)
    expect(host.violations).toEqual([])
  }

  it("leaves nothing behind when all are aborted", () => {
    const { stack, sendSamples } = new Bench(setup())
    sendSamples(0)
    sendSamples(1)
    stack.stack.abortFlows()
    expectNothingLeft(stack)
    // Nor does anything happen later that was meant for them.
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes by itself when the guest says nothing more", () => {
    const { stack, sendSamples } = new Bench(setup())
    sendSamples(0)
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order when the flow table is full", () => {
    const { stack, sendSamples } = new Bench(setup(), { capacity: 1 })
    sendSamples(0)
    sendSamples(1)
    expect(stack.flows.size).toBeLessThanOrEqual(1)
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order when the host has no descriptor left", () => {
    const { stack, sendSamples } = new Bench(setup(), { host: { descriptors: 0 } })
    sendSamples(0)
    sendSamples(1)
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order on a host whose sockets take little, late, and report nothing", () => {
    const faults = { partialSend: 0.5, lateEvent: 0.5, lateness: 5, spuriousEvent: 1 }
    const { stack, sendSamples } = new Bench(setup(), { host: { faults, rtt: 3 } })
    for (let round = 0; round < 10; round++) {
      sendSamples(round % 2)
      stack.run(2)
    }
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order after events for no reason, on both sides", () => {
    const { stack, sendSamples } = new Bench(setup())
    sendSamples(0)
    const sides: ReturnType<typeof targetSide>[] = []
    stack.flows.forEach((flow) => {
      sides.push(initiatingSide(flow), targetSide(flow))
    })
    for (const events of [HostEvent.readable, HostEvent.writable, HostEvent.readable | HostEvent.writable, 0]) {
      for (const side of sides) stack.stack.fromHost(side, events)
      stack.run(1)
    }
    stack.stack.abortFlows()
    // Events that were gathered before the flows ended.
    for (const side of sides) stack.stack.fromHost(side, HostEvent.readable)
    stack.run(DAY)
    expectNothingLeft(stack)
  })
}
