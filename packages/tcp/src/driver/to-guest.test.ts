import { Demiflow, Errno, Interface, IpProtocol, oppositeSide, Segmentation, SocketEvent } from "@demiflow/core"
import { check, concatenate, patternBytes, type ScriptedConnection, sameBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, bench, connect, connected, SERVER_V6, scripted, segments } from "../test-support/bench.ts"

describe("payload to the guest", () => {
  // RFC 9293 3.9.1.2
  test("is cut to the guest's MSS, on a link that cuts nothing", () => {
    const { memory, world } = connected({ syn: { mss: 1_000 } })
    world.write(patternBytes(2_500))
    const frames = segments(memory)
    expect(frames.map(({ payload }) => payload.length)).toEqual([1_000, 1_000, 500])
    expect(frames.at(-1)?.tcp?.flags).toBe("PA")
    expect(sameBytes(concatenate(frames.map(({ payload }) => payload)), patternBytes(2_500))).toBe(true)
  })

  test.each([
    ["IPv4", "198.51.100.7", Segmentation.tcp4, 1_460, 54],
    ["IPv6", SERVER_V6, Segmentation.tcp6, 1_440, 74],
  ] as const)(
    "is left together in frames of up to 64 KiB on a link that cuts segments, over %s",
    (_, target, segmentation, mss, headerLength) => {
      const { memory, world } = connected({
        ends: { target },
        link: { tcpSegmentation: true, checksumOffload: true },
        syn: { mss, windowScale: 7 },
      })
      const content = patternBytes(130_000)
      world.write(content)
      const frames = segments(memory)
      expect(frames.length).toBeLessThan(10)
      const largest = Math.max(...frames.map(({ payload }) => payload.length))
      expect(largest).toBeGreaterThan(60_000)
      // A frame that others follow holds whole segments.
      expect(largest % mss).toBe(0)
      expect(frames.find(({ payload }) => payload.length === largest)).toMatchObject({
        segmentation,
        segmentSize: mss,
        headerLength,
      })
      expect(sameBytes(concatenate(frames.map(({ payload }) => payload)), content)).toBe(true)
    },
  )

  test("of the largest MTU is one segment of 65,495 bytes", () => {
    const { memory, world } = connected({ link: { mtu: 65_535 }, syn: { mss: 65_535, windowScale: 7 } })
    world.write(patternBytes(130_990))
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([65_495, 65_495])
  })

  test("is never cut to less than 48 bytes, whatever MSS the guest names", () => {
    for (const mss of [0, 1, 47]) {
      const { memory, world } = connected({ syn: { mss } })
      world.write(patternBytes(200))
      const smallest = mss === 0 ? 200 : 48
      expect(segments(memory)[0].payload.length, `${mss}`).toBe(smallest)
    }
  })

  test("fits a link whose MTU leaves less than the smallest segment", () => {
    const { memory, guest, world } = connected({ link: { mtu: 68 }, syn: { mss: 1_460 } })
    world.write(patternBytes(100))
    memory.run(1)
    const frames = memory.guest.takeAll()
    expect(frames.every(({ bytes }) => bytes.length <= 14 + 68)).toBe(true)
    expect(frames.length).toBeGreaterThan(2)
    guest.send("A")
  })

  test("stays with the host until the guest has acknowledged it", () => {
    const { memory, guest, world } = connected({
      syn: { mss: 1_460, windowScale: 7 },
      sockets: { receiveBuffer: 20_000 },
    })
    world.write(patternBytes(30_000))
    memory.run(1)
    expect(world.unacknowledged).toBe(10_000)
    for (const { tcp, payload } of segments(memory)) guest.acknowledgement = after(tcp?.sequence, payload.length)
    guest.send("A")
    memory.run(1)
    expect(world.unacknowledged).toBe(0)
    const rest = segments(memory)
    expect(sameBytes(concatenate(rest.map(({ payload }) => payload)), patternBytes(10_000, 20_000))).toBe(true)
  })

  test.each([true, false])(
    "goes on behind an urgent mark, where the host's reading stops (with peek offset: %s)",
    (hasOffset) => {
      const { memory, guest, world } = connected()
      const { peek } = memory.sockets
      let isPassed = false
      memory.sockets.peek = (socket, vectors, first, count, skip) => {
        if (skip >= 49 && !hasOffset && !isPassed) return -Errno.EAGAIN
        const got = peek.call(memory.sockets, socket, vectors, first, count, skip)
        return skip < 49 && !isPassed ? Math.min(got, 49 - skip) : got
      }
      world.write(patternBytes(100))
      memory.clock.schedule(0, () => {
        const side = memory.flows.lookup(IpProtocol.tcp, sideOf(guest))
        memory.stack.fromHost(oppositeSide(side), SocketEvent.readable | SocketEvent.urgent)
      })
      const parts = segments(memory)
      if (!hasOffset) {
        guest.acknowledgement = after(guest.acknowledgement, 49)
        isPassed = true
        guest.send("A")
        parts.push(...segments(memory))
      }
      expect(sameBytes(concatenate(parts.map(({ payload }) => payload)), patternBytes(100))).toBe(true)
    },
  )

  test.each([2 ** 31, 2 ** 32])("goes on behind sequence number %i", (boundary) => {
    const memory = bench({ sockets: { receiveBuffer: 1 << 20 } })
    const first = scripted(memory)
    const number = first.connect().tcp?.sequence ?? 0
    first.send("R")
    // Initial numbers grow by 250 a millisecond: ours is to be 100,000 before the boundary.
    memory.run(Math.floor(after(boundary - 100_000, -number) / 250))
    const { guest, world } = connect(memory, { syn: { mss: 1_460, windowScale: 7 } })
    expect(boundary - guest.acknowledgement).toBeGreaterThan(90_000)
    const content = patternBytes(300_000)
    world.write(content)
    const received: Uint8Array[] = []
    for (let turn = 0; turn < 100; turn++) {
      const frames = segments(memory)
      for (const { tcp, payload } of frames) {
        expect(tcp?.sequence).toBe(guest.acknowledgement)
        guest.acknowledgement = after(tcp?.sequence, payload.length)
        received.push(payload)
      }
      if (frames.length > 0) guest.send("A")
    }
    expect(sameBytes(concatenate(received), content)).toBe(true)
  })

  test.each([
    ["large", { link: { mtu: 65_520 }, syn: { mss: 65_480, windowScale: 14 } }, 900 << 10, 1 << 20],
    ["small", { syn: { mss: 1_460, windowScale: 14 } }, 100 << 10, 128 << 10],
  ] as const)("is read from the socket many frames at a time, if %s", (_, options, atLeast, atMost) => {
    const { memory, world } = connected({ ...options, sockets: { receiveBuffer: 8 << 20 } })
    let most = 0
    const { peek } = memory.sockets
    memory.sockets.peek = (...parameters) => {
      const got = peek.apply(memory.sockets, parameters)
      most = Math.max(most, got)
      return got
    }
    world.write(new Uint8Array(7 << 20))
    memory.run()
    expect(most).toBeGreaterThan(atLeast)
    expect(most).toBeLessThanOrEqual(atMost)
  })

  test("of one connection leaves the others their turns, also with the smallest segments", () => {
    const { memory, world } = connected({
      syn: { mss: 48, windowScale: 14 },
      sockets: { receiveBuffer: 4 << 20 },
      tap: { transmitBytes: 1 << 20, reassemblySlots: 1 },
    })
    const other = connect(memory, { ends: { sourcePort: 2 } })
    let peeked = 0
    let mostInATurn = 0
    const { peek } = memory.sockets
    memory.sockets.peek = (...parameters) => {
      const got = peek.apply(memory.sockets, parameters)
      peeked += Math.max(got, 0)
      return got
    }
    const { endTurn } = memory.stack
    memory.stack.endTurn = () => {
      mostInATurn = Math.max(mostInATurn, peeked)
      peeked = 0
      endTurn.call(memory.stack)
    }
    world.write(new Uint8Array(1 << 20))
    other.world.write("hello")
    memory.run()
    expect(mostInATurn).toBeGreaterThan(0)
    expect(mostInATurn).toBeLessThanOrEqual(200_000)
  })
})

describe("the guest's window", () => {
  test("is what is sent at most", () => {
    const { memory, guest, world } = connected({ window: 2_920 })
    world.write(patternBytes(5_000))
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([1_460, 1_460])
    memory.run(100)
    memory.guest.expectNothing()
    // The window moves with acknowledgements, and not before.
    guest.send("A", "", { acknowledgement: after(guest.acknowledgement, 1_460), window: 1_460 })
    memory.guest.expectNothing()
    guest.send("A", "", { acknowledgement: after(guest.acknowledgement, 2_920), window: 1_000 })
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([1_000])
  })

  test("is scaled in all segments but the SYN", () => {
    const { memory, world } = connected({ window: 3, syn: { mss: 512, windowScale: 9 } })
    world.write(patternBytes(5_000))
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([512, 512, 512])
  })

  test("is not scaled by more than 14 (RFC 7323, section 2.3)", () => {
    const { memory, world } = connected({
      window: 1,
      syn: { mss: 1_460, windowScale: 200 },
      sockets: { receiveBuffer: 1 << 20 },
    })
    world.write(patternBytes(100_000))
    expect(segments(memory).reduce((sum, { payload }) => sum + payload.length, 0)).toBe(1 << 14)
  })

  test("may be a byte", () => {
    const { memory, guest, world } = connected({ window: 1 })
    world.write("abc")
    for (const letter of "abc") {
      guest.expect(check.payload(letter))
      memory.guest.expectNothing()
      guest.send("A")
    }
    memory.guest.expectNothing()
  })

  test("is not filled with a little while more is in flight (RFC 9293, section 3.8.6.2.1)", () => {
    const { memory, guest, world } = connected({ window: 2_000 })
    world.write(patternBytes(1_500))
    expect(segments(memory)).toHaveLength(2)
    world.write(patternBytes(3_000))
    memory.guest.expectNothing()
    guest.send("A", "", { acknowledgement: after(guest.acknowledgement, 1_500) })
    guest.expect(check.payloadLength(1_460))
  })

  test("has room for the end of what there is, however little, while little is in flight", () => {
    // A segment may be as large as the window: a guest that has received less may delay its acknowledgement.
    const { memory, guest, world } = connected({ link: { mtu: 65_520 }, syn: { mss: 65_480 } })
    world.write("header")
    guest.expect(check.payload("header"))
    world.write(patternBytes(40_000))
    guest.expect(check.payloadLength(40_000))
    world.write("trailer")
    guest.expect(check.payload("trailer"))
    world.write(patternBytes(30_000))
    memory.guest.expectNothing()
    guest.send("A")
    guest.expect(check.payloadLength(30_000))
    world.end()
    guest.expect(check.tcp({ flags: "AF" }))
  })

  test("is filled up to half of it and more, whatever the size of segments", () => {
    const { memory, guest, world } = connected({ link: { mtu: 65_520 }, syn: { mss: 65_480 } })
    world.write(patternBytes(20_000))
    guest.expect(check.payloadLength(20_000))
    world.write(patternBytes(60_000))
    guest.expect(check.payloadLength(45_535))
    memory.guest.expectNothing()
  })

  test("comes along with acknowledgements from our own window's very edge", () => {
    const { memory, guest, world } = connected({ syn: { mss: 1_024, windowScale: 7 }, window: 8 })
    world.write(patternBytes(4_096))
    const reported = guest.expect(check.payloadLength(1_024)).tcp
    // Our whole window was sent before this, and lost.
    const edge = after(reported?.acknowledgement, (reported?.window ?? 0) << 8)
    guest.send("A", "", { sequence: edge, window: 16 })
    memory.run()
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([1_024, 1_024])
    expect(memory.drops.get("tcp: outside the window")).toBe(0)
    guest.send("A", "", { sequence: after(edge, 1), window: 32 })
    memory.run()
    expect(memory.drops.get("tcp: outside the window")).toBe(1)
  })

  test("is believed when the guest takes it back", () => {
    const { memory, guest, world } = connected({ window: 9_000 })
    world.write(patternBytes(2_000))
    expect(segments(memory)).toHaveLength(2)
    // The guest acknowledges nothing, and only the window is new.
    guest.send("A", "", { window: 0 })
    memory.run()
    world.write(patternBytes(1_000))
    memory.guest.expectNothing()
  })

  test("comes along with what acknowledges more, whatever its sequence number", () => {
    const { memory, guest, world } = connected({ window: 1_000 })
    guest.send("A", "abc")
    memory.run(1)
    segments(memory)
    world.write(patternBytes(3_000))
    guest.expect(check.payloadLength(1_000))
    guest.send("A", "c", { sequence: after(guest.sequence, -1), window: 1_500 })
    memory.run()
    // A retransmission: it is only answered as such, and what it acknowledges doesn't count.
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([0])
    guest.send("A", "cd", { sequence: after(guest.sequence, -1), window: 1_500 })
    memory.run()
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual([1_460, 40])
  })

  test("of an old segment does not count", () => {
    const { memory, guest, world } = connected({ window: 1_000 })
    guest.send("A", "abc")
    guest.send("A", "d", { sequence: after(guest.sequence, -1), window: 0 })
    guest.sequence = after(guest.sequence, 0)
    memory.run(1)
    segments(memory)
    world.write(patternBytes(2_000))
    guest.expect(check.payloadLength(1_000))
  })
})

describe("the host's buffer", () => {
  test("is left without a single byte that the guest has acknowledged", () => {
    const { memory, guest, world } = connected()
    const discarded: number[] = []
    const discard = memory.sockets.discard.bind(memory.sockets)
    memory.sockets.discard = (socket, length) => {
      discarded.push(length)
      return discard(socket, length)
    }
    // A few bytes can be the rest of a buffer of 64 KiB, which the kernel counts as full until they are gone.
    for (const text of ["a", "bc", "def"]) {
      world.write(text)
      memory.run()
      guest.expect(check.payload(text))
      guest.send("A")
      memory.run()
    }
    expect(discarded).toEqual([1, 2, 3])
  })
})

function sideOf({ target, port, source, sourcePort }: ScriptedConnection): Demiflow {
  return Demiflow.of(Interface.tap, target, port, source, sourcePort)
}
