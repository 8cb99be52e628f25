import { Address, Demiflow, FrameBatch, Interface, type LinkCapabilities, Segmentation } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture, ManualClock } from "../../test/fixture.ts"
import { hasRightChecksum, ipv4, join, parse, pattern, tcpHeader, udp } from "../../test/packets.ts"
import { FaultInjector, type Faults } from "./fault-injector.ts"

const four = { from: "192.0.2.2", to: "198.51.100.7" }
const demiflow = Demiflow.of(Interface.tap, Address.parse(four.to), 53, Address.parse(four.from), 4000)

function setUp(
  faults: { fromGuest?: Faults; toGuest?: Faults },
  seed = 1,
  capabilities: Partial<LinkCapabilities> = {},
) {
  const clock = new ManualClock()
  let injector: FaultInjector | undefined
  const fixture = new Fixture(capabilities, {}, (link) => {
    injector = new FaultInjector(link, { clock, seed, ...faults })
    return injector
  })
  return { fixture, clock, injector: injector as unknown as FaultInjector }
}

/** Sends numbered frames as the guest and returns the numbers that arrive, in order. */
function fromGuest(fixture: Fixture, count: number, first = 0): number[] {
  const frames = Array.from({ length: count }, (_, index) => ipv4(17, udp([4000, 53], number(first + index)), four))
  return numbersOf(fixture.deliver(...frames))
}

function numbersOf(sequences: { packets: { transport: Uint8Array }[] }[]): number[] {
  return sequences.flatMap(({ packets }) => packets.map(({ transport }) => transport[8] * 256 + transport[9]))
}

function toGuest(fixture: Fixture, count: number): void {
  for (let index = 0; index < count; index++) {
    const transport = udp([53, 4000], number(index))
    const offset = fixture.tap.begin(demiflow, 17, transport.length)
    fixture.arena.bytes.set(transport, offset)
    fixture.tap.end(offset, transport.length, 6)
  }
  fixture.tap.flush()
}

function arrivedAtGuest(fixture: Fixture): number[] {
  return fixture.received().map(({ bytes }) => bytes[42] * 256 + bytes[43])
}

const number = (value: number) => Uint8Array.of(value >> 8, value & 255)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

describe("FaultInjector", () => {
  test("without faults changes nothing", () => {
    const { fixture, injector } = setUp({})
    expect(fromGuest(fixture, 300)).toEqual(upTo(300))
    toGuest(fixture, 300)
    expect(arrivedAtGuest(fixture)).toEqual(upTo(300))
    expect([injector.held, injector.nextDeadline()]).toEqual([0, Number.POSITIVE_INFINITY])
  })

  test("does the same for the same seed, and something else for another", () => {
    const run = (seed: number) => fromGuest(setUp({ fromGuest: { loss: 0.3, duplication: 0.3 } }, seed).fixture, 200)
    expect(run(7)).toEqual(run(7))
    expect(run(7)).not.toEqual(run(8))
  })

  test("loses frames about as often as asked, in the direction asked", () => {
    const { fixture } = setUp({ fromGuest: { loss: 0.25 } })
    const arrived = fromGuest(fixture, 1000)
    expect(arrived.length).toBeGreaterThan(680)
    expect(arrived.length).toBeLessThan(820)
    expect(arrived).toEqual([...arrived].sort((a, b) => a - b))
    toGuest(fixture, 100)
    expect(arrivedAtGuest(fixture)).toEqual(upTo(100))
  })

  test("loses frames towards the guest", () => {
    const { fixture } = setUp({ toGuest: { loss: 1 } })
    toGuest(fixture, 100)
    expect(arrivedAtGuest(fixture)).toEqual([])
    expect(fixture.drops.total).toBe(0)
  })

  test("duplicates frames", () => {
    const { fixture } = setUp({ fromGuest: { duplication: 1 }, toGuest: { duplication: 1 } })
    expect(fromGuest(fixture, 3)).toEqual([0, 0, 1, 1, 2, 2])
    toGuest(fixture, 2)
    expect(arrivedAtGuest(fixture)).toEqual([0, 0, 1, 1])
  })

  test("delays frames, and says until when", () => {
    const { fixture, clock, injector } = setUp({ fromGuest: { delay: 20 }, toGuest: { delay: 30 } })
    expect(fromGuest(fixture, 2)).toEqual([])
    toGuest(fixture, 2)
    expect([injector.held, injector.nextDeadline()]).toEqual([4, 20])
    clock.now = 19
    expect(fromGuest(fixture, 0)).toEqual([])
    clock.now = 20
    expect(fromGuest(fixture, 0)).toEqual([0, 1])
    expect(arrivedAtGuest(fixture)).toEqual([])
    clock.now = 30
    expect(fixture.tap.receive()).toBe(0)
    expect(arrivedAtGuest(fixture)).toEqual([0, 1])
    expect(injector.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test("lets frames overtake others, and loses none", () => {
    const { fixture, clock } = setUp({ fromGuest: { reordering: 0.2, reorderingDelay: 5 } })
    const arrived = fromGuest(fixture, 50)
    clock.now = 4
    arrived.push(...fromGuest(fixture, 50, 50))
    clock.now = 20
    arrived.push(...fromGuest(fixture, 0))
    expect(arrived).not.toEqual(upTo(100))
    expect([...arrived].sort((a, b) => a - b)).toEqual(upTo(100))
  })

  test("jitter reorders within its bounds", () => {
    const { fixture, clock, injector } = setUp({ fromGuest: { delay: 10, jitter: 5 } })
    fromGuest(fixture, 50)
    expect(injector.nextDeadline()).toBe(10)
    clock.now = 15
    const arrived = fromGuest(fixture, 0)
    expect([...arrived].sort((a, b) => a - b)).toEqual(upTo(50))
    expect(arrived).not.toEqual(upTo(50))
  })

  test("corrupts one bit, that checksums notice", () => {
    const { fixture } = setUp({ toGuest: { corruption: 1 } }, 3, { checksumOffload: true })
    toGuest(fixture, 200)
    const frames = fixture.received()
    expect(frames).toHaveLength(200)
    let unnoticed = 0
    for (const frame of frames) {
      expect(frame.checksumStart).toBe(0)
      try {
        if (hasRightChecksum(parse(frame.bytes))) unnoticed++
      } catch {
        // A malformed header is noticed.
      }
    }
    // No checksum covers the Ethernet addresses (12 of 44 bytes).
    expect(unnoticed).toBeGreaterThan(0)
    expect(unnoticed).toBeLessThan(100)
  })

  test("takes away the trust in what it corrupts", () => {
    const { fixture } = setUp({ fromGuest: { corruption: 1 } })
    const transport = udp([4000, 53], pattern(400))
    let untrusted = 0
    for (let index = 0; index < 20; index++) {
      fixture.sendMarked(ipv4(17, transport, four), { checksumStart: 34 })
      for (const { packets } of fixture.deliver()) untrusted += packets.filter(({ trusted }) => !trusted).length
    }
    expect(untrusted).toBeGreaterThan(10)
    expect(fixture.seen.every(({ packets }) => packets.every(({ trusted }) => !trusted))).toBe(true)
  })

  test("keeps what an offload left together, but loses it rather than corrupt it on its way to the guest", () => {
    const offloads = { checksumOffload: true, tcpSegmentation: true, mtu: 1500 }
    for (const [corruption, expected] of [
      [0, 1],
      [1, 0],
    ]) {
      const { fixture } = setUp({ toGuest: { corruption } }, 1, offloads)
      const transport = join(tcpHeader([80, 4000], 1, 0x10), pattern(5000))
      const offset = fixture.tap.begin(demiflow, 6, transport.length)
      fixture.arena.bytes.set(transport, offset)
      fixture.tap.end(offset, transport.length, 16, 1000, 20)
      fixture.tap.flush()
      const frames = fixture.received()
      expect(frames).toHaveLength(expected)
      if (expected === 1) expect(frames[0]).toMatchObject({ segmentation: Segmentation.tcp4, segmentSize: 1000 })
    }
  })

  test("offers again what the link did not take", () => {
    const { fixture, injector } = setUp({})
    toGuest(fixture, 1500)
    expect(injector.held).toBe(1500 - 1024)
    expect(arrivedAtGuest(fixture)).toEqual(upTo(1024))
    fixture.tap.receive()
    expect(arrivedAtGuest(fixture)).toEqual(upTo(1500).slice(1024))
    expect(fixture.drops.total).toBe(0)
  })

  test("reports that the link is gone only after the last frame", () => {
    const { fixture, clock, injector } = setUp({ fromGuest: { delay: 10 } })
    expect(fromGuest(fixture, 1)).toEqual([])
    fixture.guest.close()
    expect(injector.receive(new FrameBatch(4))).toBe(0)
    clock.now = 10
    expect(injector.receive(new FrameBatch(4))).toBe(1)
    expect(injector.receive(new FrameBatch(4))).toBeLessThan(0)
    injector.close()
  })
})
