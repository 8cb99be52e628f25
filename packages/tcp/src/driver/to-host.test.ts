import { Errno, Segmentation } from "@demiflow/core"
import { build, buildPacket, check, patternBytes, payload, sameBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, connect, connected, PORT, SERVER, scripted, segments } from "../test-support/bench.ts"

describe("payload from the guest", () => {
  test("in order arrives, whatever it is cut into", () => {
    const { memory, guest, world } = connected()
    const content = patternBytes(5_000)
    for (let at = 0, size = 1; at < content.length; at += size, size = (size * 7 + 1) % 1_400) {
      guest.send("A", content.subarray(at, at + size))
    }
    memory.run(1)
    expect(sameBytes(world.received, content)).toBe(true)
    expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(guest.sequence)
  })

  test("that comes again is acknowledged again, and passed on once", () => {
    const { memory, guest, world } = connected()
    guest.send("A", "hello")
    memory.run(1)
    guest.expect(check.tcp({ acknowledgement: guest.sequence }))
    guest.send("A", "hello", { sequence: after(guest.sequence, -5) })
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    expect(world.receivedText).toBe("hello")
  })

  test("that overlaps what was accepted is cut at its beginning", () => {
    const { memory, guest, world } = connected()
    guest.send("A", "hello")
    guest.send("A", "XXXXX, world", { sequence: after(guest.sequence, -5) })
    guest.sequence = after(guest.sequence, 7)
    memory.run(1)
    expect(world.receivedText).toBe("hello, world")
    expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(guest.sequence)
  })

  test("that comes too early waits, and what is missing is asked for by an acknowledgement", () => {
    const { memory, guest, world } = connected()
    const expected = guest.sequence
    guest.send("A", "world", { sequence: after(expected, 7) })
    guest.expect(check.tcp({ flags: "A", acknowledgement: expected }))
    expect(world.receivedText).toBe("")
    guest.send("A", "hello, ")
    memory.run(1)
    expect(world.receivedText).toBe("hello, world")
  })

  test("of one sequence with a gap is taken up to the gap", () => {
    const { memory, guest, world } = connected()
    const start = guest.sequence
    guest.send("A", "one ")
    guest.send("A", "three ", { sequence: after(start, 8) })
    guest.send("A", "four", { sequence: after(start, 14) })
    memory.run(1)
    expect(world.receivedText).toBe("one ")
    expect(segments(memory).map(({ tcp }) => tcp?.acknowledgement)).toEqual([after(start, 4)])
  })

  test("beyond the window is cut, and the guest hears where the window ends", () => {
    const { memory, guest, world } = connected({ link: { mtu: 65_520 } })
    const expected = guest.sequence
    // The first window is 65,535 bytes.
    guest.send("A", patternBytes(60_000))
    guest.send("A", patternBytes(6_000, 60_000), { sequence: after(expected, 60_000) })
    memory.run()
    expect(world.receivedLength).toBe(65_535)
    expect(sameBytes(world.received, patternBytes(65_535))).toBe(true)
    expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(after(expected, 65_535))
  })

  test("all of it beyond the window is dropped and answered", () => {
    const { memory, guest, world } = connected()
    guest.send("A", "hello", { sequence: after(guest.sequence, 0xffff) })
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
    expect(memory.drops.get("tcp: outside the window")).toBe(1)
    expect(world.receivedLength).toBe(0)
  })

  test("with a FIN before all of it fits takes no FIN", () => {
    const { memory, guest, world } = connected({ link: { mtu: 65_535 } })
    const expected = guest.sequence
    guest.send("A", patternBytes(65_000))
    guest.send("AF", patternBytes(1_000, 65_000), { sequence: after(expected, 65_000) })
    memory.run(1)
    expect(world.receivedLength).toBe(65_535)
    expect(world.isEnded).toBe(false)
    guest.send("AF", patternBytes(465, 65_535), { sequence: after(expected, 65_535) })
    memory.run(1)
    expect(sameBytes(world.received, patternBytes(66_000))).toBe(true)
    expect(world.isEnded).toBe(true)
  })

  test("is passed on with the urgent flag like other payload", () => {
    const { memory, guest, world } = connected()
    guest.send("AU", "urgent", { urgent: 3 })
    memory.run(1)
    expect(world.receivedText).toBe("urgent")
  })

  test("of 64 KiB in one frame is one payload, on a link that leaves segments together", () => {
    const { memory, guest, world } = connected({ link: { tcpSegmentation: true, checksumOffload: true } })
    const content = patternBytes(65_000)
    const { source, sourcePort, sequence, acknowledgement } = guest
    const network = build.ip(source, SERVER)
    const header = { sourcePort, targetPort: PORT, flags: "PA", sequence, acknowledgement }
    memory.guest.sendFrame(buildPacket(build.ethernet(), network, build.tcp(header), payload(content)), {
      segmentation: Segmentation.tcp4,
      segmentSize: 1_460,
      headerLength: 54,
      checksumStart: 34,
      checksumOffset: 16,
    })
    memory.run(1)
    expect(sameBytes(world.received, content)).toBe(true)
    guest.sequence = after(sequence, 65_000)
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
  })

  test("goes on behind 2^32", () => {
    const { memory, guest, world } = connected({ ends: { sequence: 0xffff_ff00 } })
    const content = patternBytes(3_000)
    for (let at = 0; at < 3_000; at += 100) guest.send("A", content.subarray(at, at + 100))
    memory.run(1)
    expect(sameBytes(world.received, content)).toBe(true)
    expect(guest.sequence).toBe(3_000 - 255)
  })

  test("never reaches another connection than its own, however that one ends", () => {
    // The host's reset is known to the kernel, and reported late.
    const { memory, guest, world } = connected({ sockets: { faults: { lateEvent: 1, lateness: 20 } } })
    const other = connect(memory, { ends: { sourcePort: 40_001 } })
    memory.run(100)
    world.write(patternBytes(52_660))
    memory.run(1_050)
    segments(memory)
    world.reset()
    memory.run()
    // A retransmission is in progress: for the second segment, we read more from the host, which fails.
    guest.send("A", "secret")
    guest.send("A", "", { acknowledgement: after(guest.acknowledgement, 35_140) })
    memory.run()
    expect(segments(memory).at(-1)?.tcp?.flags).toBe("RA")
    scripted(memory, { port: 81 }).send("A", "something else, to be first in the arena")
    other.guest.send("A", "hello")
    memory.run(100)
    expect(other.world.receivedText).toBe("hello")
  })
})

describe("payload that the host doesn't take", () => {
  /** A correspondent that reads on request, with small buffers before it. */
  const slow = () => {
    const both = connected({ sockets: { sendBuffer: 2_000, sendBufferSize: 2_000 }, listen: { receiveBuffer: 1_000 } })
    both.world.pause()
    return both
  }

  test("is held, and delivered in order once there is room", () => {
    const { memory, guest, world } = slow()
    const content = patternBytes(60_000)
    for (let at = 0; at < 60_000; at += 1_000) {
      guest.send("A", content.subarray(at, at + 1_000))
      memory.run(1)
    }
    expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(guest.sequence)
    expect(world.unread).toBe(1_000)
    while (world.receivedLength < 60_000 && world.take(700) > 0) memory.run(1)
    expect(sameBytes(world.received, content)).toBe(true)
  })

  test("does not let the window's edge go back, nor forward; it opens again by itself", () => {
    const { memory, guest, world } = slow()
    const edges: number[] = []
    const start = guest.sequence
    memory.guest.onFrame(({ tcp }) => {
      edges.push((((tcp?.acknowledgement ?? 0) - start) >>> 0) + (tcp?.window ?? 0))
      return false
    })
    let sent = 0
    const shut = () => segments(memory).some(({ tcp }) => tcp?.window === 0)
    for (; !shut() && sent < 1_000_000; sent += 1_000) {
      guest.send("A", patternBytes(1_000, sent))
      memory.run(1)
    }
    expect(edges.every((edge, index) => index === 0 || edge >= edges[index - 1])).toBe(true)
    const shutAt = edges.at(-1) ?? 0
    memory.run(60_000)
    expect(edges.at(-1)).toBe(shutAt)
    memory.guest.expectNothing()

    world.resume()
    memory.run(1)
    expect(world.receivedLength).toBeGreaterThanOrEqual(shutAt)
    guest.expect(check.tcp({ flags: "A", window: check.atLeast(16_384) }))
  })

  test("leaves room that is announced in whole steps of the scale; what was announced before is taken nevertheless", () => {
    // RFC 7323, section 2.4: the receiver must honour every window that it has announced.
    const { memory, guest, world } = connected({
      syn: { mss: 1_460, windowScale: 7 },
      sockets: { sendBuffer: 2_000, sendBufferSize: 2_000 },
      listen: { receiveBuffer: 1_000 },
    })
    world.pause()
    guest.send("A", "x")
    memory.run(1)
    const reported = guest.expect(check.tcp({ flags: "A" })).tcp
    const edge = after(reported?.acknowledgement, (reported?.window ?? 0) << 8)
    let sent = 1
    for (; guest.sequence !== edge; memory.run(1)) {
      const size = Math.min(1_357, (edge - guest.sequence) >>> 0)
      guest.send("A", patternBytes(size, sent))
      sent += size
    }
    expect(segments(memory).at(-1)?.tcp).toMatchObject({ acknowledgement: edge, window: 0 })
    expect(memory.drops.get("tcp: outside the window")).toBe(0)
  })

  test("and for which there is no room here is asked for again", () => {
    const { memory, guest, world } = connected({
      tcp: { holdPoolSize: 16_384 },
      sockets: { sendBuffer: 1_000, sendBufferSize: 1_000 },
      listen: { receiveBuffer: 1_000 },
      link: { mtu: 65_535 },
    })
    world.pause()
    const start = guest.sequence
    // The FIN counts only behind all of the payload.
    guest.send("AF", patternBytes(30_000))
    const answer = guest.expect(check.tcp({ flags: "A" }))
    // The correspondent's buffer, the socket's, and the pool's one block.
    expect(after(answer.tcp?.acknowledgement, -start)).toBe(1_000 + 16_384)
    world.resume()
    memory.run(1)
    for (let at = 17_384; at < 30_000; at += 1_000) {
      guest.send("AF", patternBytes(30_000 - at, at), { sequence: after(start, at) })
      memory.run(1)
    }
    expect(sameBytes(world.received, patternBytes(30_000))).toBe(true)
    expect(world.isEnded).toBe(true)
  })

  test("is asked for by nothing but an event, unless the host is out of memory: then again after a while", () => {
    for (const errno of [Errno.ENOBUFS, Errno.ENOMEM]) {
      const { memory, guest, world } = connected()
      const { send } = memory.sockets
      let calls = 0
      memory.sockets.send = () => {
        calls++
        return -errno
      }
      guest.send("A", "hello")
      memory.run(1_000)
      expect(calls).toBeGreaterThan(5)
      // Less and less often.
      expect(calls).toBeLessThan(100)
      memory.sockets.send = send
      memory.run(1_000)
      expect(world.receivedText).toBe("hello")
    }
  })

  test("as a host may do that takes nothing and calls it no error", () => {
    const { memory, guest, world } = connected()
    const { send } = memory.sockets
    memory.sockets.send = () => 0
    guest.send("A", "hello")
    memory.run(10)
    memory.sockets.send = send
    memory.run(1_000)
    expect(world.receivedText).toBe("hello")
  })
})

test("a window that is shut is probed by the guest, and answered each time", () => {
  const { memory, guest, world } = connected({
    sockets: { sendBuffer: 100, sendBufferSize: 100 },
    listen: { receiveBuffer: 1 },
  })
  world.pause()
  for (let sent = 0; sent < 65_535; sent += 1_311) guest.send("A", new Uint8Array(Math.min(1_311, 65_535 - sent)))
  memory.run(1)
  const expected = guest.sequence
  expect(segments(memory).at(-1)?.tcp?.acknowledgement).toBe(expected)
  for (const [content, off] of [
    ["", -1],
    ["x", -1],
    ["x", 0],
  ] as const) {
    memory.run(1_000)
    guest.send("A", content, { sequence: after(expected, off) })
    guest.expect(check.tcp({ flags: "A", acknowledgement: expected, window: 0 }))
    memory.guest.expectNothing()
  }
})

test("a FIN waits behind what is held", () => {
  const { memory, guest, world } = connected({
    sockets: { sendBuffer: 500, sendBufferSize: 500 },
    listen: { receiveBuffer: 100 },
  })
  world.pause()
  guest.send("AF", patternBytes(1_400))
  memory.run(1)
  guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
  while (world.take(90) > 0) memory.run(1)
  expect(sameBytes(world.received, patternBytes(1_400))).toBe(true)
  expect(world.isEnded).toBe(true)
})

test("a bad checksum, a header that isn't whole: counted and dropped", () => {
  const { memory, guest, world } = connected()
  guest.send("A", "hello", { checksum: 0x1234, sequence: guest.sequence })
  guest.send("A", "hello", { dataOffset: 4, sequence: guest.sequence })
  guest.send("A", "hello", { dataOffset: 15, sequence: guest.sequence })
  memory.run(1)
  memory.guest.expectNothing()
  expect(world.receivedLength).toBe(0)
  expect([memory.drops.get("tcp: checksum"), memory.drops.get("tcp: malformed header")]).toEqual([1, 2])
})
