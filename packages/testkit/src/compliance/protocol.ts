import { initiatingSide, SocketEvent, targetSide } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import type { MemoryStack } from "../memory-stack.ts"
import { buildInside, replaceInside } from "../packets/layer.ts"
import { SeededRandom } from "../seeded-random.ts"
import { ProtocolBench, type ProtocolUnderTest, sampleGuest } from "./protocol-bench.ts"
import { verdictTests } from "./verdicts.ts"

const DAY = 24 * 3_600_000
/** Mutations of a byte. */
const CHANGES: readonly ((byte: number) => number)[] = [() => 0, () => 0xff, (byte) => byte ^ 1, (byte) => byte ^ 0x80]

/**
 * Tests the contract of `ProtocolHandler` of `@demiflow/core`, and the rules for every
 * protocol of demiflow: answers go to the sender, no packet makes the protocol throw, nothing is left behind. Call it
 * inside a test file; it defines its tests with vitest.
 *
 * @param setup describes the protocol, anew for each test
 */
export function protocolCompliance(setup: () => ProtocolUnderTest): void {
  describe("claims", () => claimTests(setup))
  describe("good packets", () => sampleTests(setup))
  describe("bad packets", () => hostileTests(setup))
  describe("the end of flows", () => endTests(setup))
  describe("the policy's verdict", () => verdictTests(setup))
}

function claimTests(setup: () => ProtocolUnderTest): void {
  it("has a name, and claims that can be met", () => {
    const { handler } = new ProtocolBench(setup())
    expect(handler.name).not.toBe("")
    expect(handler.claims.length).toBeGreaterThan(0)
    for (const claim of handler.claims) {
      if ("etherType" in claim) {
        // Smaller values are a length (IEEE 802.3, clause 3.2.6).
        expect(claim.etherType).toBeGreaterThanOrEqual(0x600)
        expect(claim.etherType).toBeLessThanOrEqual(0xffff)
        continue
      }
      if ("otherIpProtocols" in claim) continue
      expect(claim.ipProtocol).toBeGreaterThanOrEqual(0)
      expect(claim.ipProtocol).toBeLessThanOrEqual(255)
      const [numbers, largest] =
        "messageTypes" in claim ? [claim.messageTypes, 0xff] : [[claim.forwardingPort ?? 0], 0xffff]
      expect(numbers.length).toBeGreaterThan(0)
      for (const number of numbers) {
        expect(number).toBeGreaterThanOrEqual(0)
        expect(number).toBeLessThanOrEqual(largest)
      }
    }
  })

  it("sees its samples, and handles them", () => {
    const { stack, samples, sendSamples } = new ProtocolBench(setup())
    expect(samples[0].length).toBeGreaterThan(0)
    sendSamples()
    expect(stack.drops.get("stack: no handler")).toBe(0)
  })

  it("may be set up on several stacks", () => {
    const under = setup()
    for (const bench of [new ProtocolBench(under), new ProtocolBench(under)]) {
      bench.sendSamples()
      expect(bench.stack.drops.get("stack: no handler")).toBe(0)
    }
  })
}

function sampleTests(setup: () => ProtocolUnderTest): void {
  it("are answered with well-formed frames", () => {
    const { stack, sendSamples } = new ProtocolBench(setup())
    sendSamples()
    stack.run(10_000)
    for (const { problems } of stack.guest.takeAll()) expect(problems).toEqual([])
  })

  it("are answered at the address that they came from, when two guests speak at once", () => {
    const under = setup()
    const { stack, samples, send } = new ProtocolBench(under)
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
   * Sends corrupted versions of all samples: each layer's bytes corrupted, once as they are and once with correct
   * lengths and checksums around them. Afterwards, a valid conversation must work as it does without them.
   */
  function expectUnharmed(spoil: (bytes: Uint8Array) => Iterable<Uint8Array>): void {
    const healthy = new ProtocolBench(setup())
    healthy.sendSamples(1)
    const answers = healthy.stack.guest.takeAll().length
    const { stack, samples, send, sendTrusted, sendSamples } = new ProtocolBench(setup())
    for (const layers of samples[0]) {
      for (let depth = 0; depth < layers.length; depth++) {
        for (const bytes of spoil(buildInside(layers, depth))) {
          const bad = replaceInside(layers, depth, bytes)
          send(bad)
          sendTrusted(bad)
          // An assertion for each packet would take most of the time.
          const ill = stack.guest.takeAll().find(({ problems }) => problems.length > 0)
          if (ill !== undefined) expect(ill.problems).toEqual([])
        }
      }
    }
    // Flows that the bad packets began have time to end.
    stack.run(DAY)
    stack.guest.takeAll()
    sendSamples(1)
    expect(stack.guest.takeAll().length).toBe(answers)
    expect(stack.sockets.violations).toEqual([])
    expect(stack.drops.get("flow: allocated and not activated")).toBe(0)
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
  /** Asserts that nothing of a flow is left. */
  function expectNothingLeft({ flows, sockets }: MemoryStack): void {
    expect(flows.size).toBe(0)
    expect(sockets.openSockets).toBe(0)
    expect(sockets.violations).toEqual([])
  }

  it("leaves nothing behind when all are aborted", () => {
    const { stack, sendSamples } = new ProtocolBench(setup())
    sendSamples(0)
    sendSamples(1)
    stack.stack.abortFlows()
    expectNothingLeft(stack)
    // Nor does a later event or timer reach the ended flows.
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes by itself when the guest says nothing more", () => {
    const { stack, sendSamples } = new ProtocolBench(setup())
    sendSamples(0)
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order when the flow table is full", () => {
    const { stack, sendSamples } = new ProtocolBench(setup(), { capacity: 1 })
    sendSamples(0)
    sendSamples(1)
    expect(stack.flows.size).toBeLessThanOrEqual(1)
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order when the host has no descriptor left", () => {
    const { stack, sendSamples } = new ProtocolBench(setup(), { sockets: { descriptors: 0 } })
    sendSamples(0)
    sendSamples(1)
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order on a host whose sockets take little, late, and report nothing", () => {
    const faults = { partialSend: 0.5, lateEvent: 0.5, lateness: 5, spuriousEvent: 1 }
    const { stack, sendSamples } = new ProtocolBench(setup(), { sockets: { faults, rtt: 3 } })
    for (let round = 0; round < 10; round++) {
      sendSamples(round % 2)
      stack.run(2)
    }
    stack.run(DAY)
    expectNothingLeft(stack)
  })

  it("comes in order after events for no reason, on both sides", () => {
    const { stack, sendSamples } = new ProtocolBench(setup())
    sendSamples(0)
    const sides: ReturnType<typeof targetSide>[] = []
    stack.flows.forEach((flow) => {
      sides.push(initiatingSide(flow), targetSide(flow))
    })
    for (const events of [SocketEvent.readable, SocketEvent.writable, SocketEvent.readable | SocketEvent.writable, 0]) {
      for (const side of sides) stack.stack.fromHost(side, events)
      stack.run(1)
    }
    stack.stack.abortFlows()
    // Events that were gathered before the flows ended.
    for (const side of sides) stack.stack.fromHost(side, SocketEvent.readable)
    stack.run(DAY)
    expectNothingLeft(stack)
  })
}
