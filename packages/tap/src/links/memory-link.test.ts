import { Arena, Errno, FrameBatch, Segmentation } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { expectBytes } from "../../test/expect-bytes.ts"
import { pattern } from "../../test/packets.ts"
import { type MemoryLink, type MemoryLinkOptions, memoryLinkPair } from "./memory-link.ts"

const SCRATCH = 512 << 10

function setUp(options: MemoryLinkOptions = {}, isShared = false) {
  const first = new Arena(2 << 20)
  const second = isShared ? first : new Arena(2 << 20)
  const [a, b] = memoryLinkPair(first, second, { queueBytes: 64 << 10, ...options })
  return { a, b }
}

function send(link: MemoryLink, ...frames: Uint8Array[]): number {
  const batch = new FrameBatch(Math.max(1, frames.length))
  let offset = link.arena.buffer.byteLength - SCRATCH
  for (const [index, frame] of frames.entries()) {
    link.arena.bytes.set(frame, offset)
    batch.setPlain(index, offset, frame.length)
    offset += frame.length
  }
  return link.send(batch, 0, frames.length)
}

function receive(link: MemoryLink, capacity = 64): Uint8Array[] {
  const batch = new FrameBatch(capacity)
  const count = link.receive(batch)
  expect(batch.count).toBe(Math.max(count, 0))
  return Array.from({ length: batch.count }, (_, index) =>
    link.arena.bytes.slice(batch.offset[index], batch.offset[index] + batch.length[index]),
  )
}

describe.each([
  ["two arenas", false],
  ["one arena", true],
])("a pair over %s", (_, isShared) => {
  test("carries frames both ways, in order", () => {
    const { a, b } = setUp({}, isShared)
    expect(send(a, pattern(60, 1), pattern(1514, 2))).toBe(2)
    expect(send(b, pattern(14, 3))).toBe(1)
    expect(receive(b)).toEqual([pattern(60, 1), pattern(1514, 2)])
    expect(receive(a)).toEqual([pattern(14, 3)])
    expect([receive(a), receive(b)]).toEqual([[], []])
  })

  test("loses nothing that it took, whatever is sent and received when", () => {
    const step = fc.oneof(
      fc.record({ send: fc.array(fc.nat(9000), { minLength: 1, maxLength: 8 }) }),
      fc.record({ receive: fc.integer({ min: 1, max: 9 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { a, b } = setUp({ queueFrames: 20 }, isShared)
        const queue: Uint8Array[] = []
        let shown: { bytes: Uint8Array; offset: number }[] = []
        let seed = 0
        for (const next of steps) {
          if ("send" in next) {
            const frames = next.send.map((length) => pattern(length, seed++))
            queue.push(...frames.slice(0, send(a, ...frames)))
            // Received frames stay as they are until the next call.
            for (const { bytes, offset } of shown) {
              expectBytes(b.arena.bytes.slice(offset, offset + bytes.length), bytes)
            }
          } else {
            const batch = new FrameBatch(next.receive)
            b.receive(batch)
            shown = Array.from({ length: batch.count }, (_, index) => {
              const offset = batch.offset[index]
              return { offset, bytes: b.arena.bytes.slice(offset, offset + batch.length[index]) }
            })
            expect(batch.count).toBe(Math.min(queue.length, next.receive))
            for (const { bytes } of shown) expectBytes(bytes, queue.shift() ?? new Uint8Array(0))
          }
          expect(b.waiting).toBe(queue.length)
        }
      }),
      { numRuns: 60 },
    )
  })
})

test("what is said about a frame goes with it", () => {
  const { a, b } = setUp({ capabilities: { checksumOffload: true, tcpSegmentation: true } })
  expect(a.capabilities).toEqual({
    mtu: 1500,
    headroom: 0,
    checksumOffload: true,
    tcpSegmentation: true,
    udpSegmentation: false,
  })
  const batch = new FrameBatch(2)
  batch.setPlain(0, 0, 100)
  batch.setPlain(1, 0, 100)
  batch.segmentation[1] = Segmentation.tcp6
  batch.segmentSize[1] = 30
  batch.headerLength[1] = 54
  batch.checksumStart[1] = 34
  batch.checksumOffset[1] = 16
  a.send(batch, 1, 1)
  const received = new FrameBatch(2)
  b.receive(received)
  expect([
    received.segmentation[0],
    received.segmentSize[0],
    received.headerLength[0],
    received.checksumStart[0],
    received.checksumOffset[0],
    received.checksumTrusted[0],
  ]).toEqual([Segmentation.tcp6, 30, 54, 34, 16, 1])
})

test("a full queue takes as much as fits, and more once there is room", () => {
  const { a, b } = setUp({ queueBytes: 10_000 })
  const frames = [1, 2, 3, 4, 5].map((seed) => pattern(3000, seed))
  expect(send(a, ...frames)).toBe(3)
  expect(receive(b, 2)).toHaveLength(2)
  // Those two are still in use.
  expect(send(a, frames[3])).toBe(0)
  expect(receive(b, 1)).toEqual([frames[2]])
  expect(send(a, frames[3])).toBe(1)
  expect(receive(b)).toEqual([frames[3]])
  expect(send(a, pattern(20_000))).toBe(0)
})

test("a full circle is not taken for an empty one", () => {
  const { a, b } = setUp({ queueBytes: 256 })
  const frames = [1, 2, 3, 4, 5, 6].map((seed) => pattern(64, seed))
  expect(send(a, ...frames)).toBe(4)
  expect(receive(b, 2)).toEqual(frames.slice(0, 2))
  expect(receive(b, 1)).toEqual([frames[2]])
  const taken = send(a, frames[4]) + send(a, frames[5])
  expect(send(a, pattern(64, 9))).toBe(0)
  expect(receive(b)).toEqual([frames[3], ...frames.slice(4, 4 + taken)])
})

test("the owner hears when frames arrive where none were", () => {
  const { a, b } = setUp()
  let calls = 0
  b.onReadable = () => {
    calls++
  }
  send(a, pattern(20))
  send(a, pattern(20))
  expect(calls).toBe(1)
  receive(b)
  send(a, pattern(20))
  expect(calls).toBe(2)
})

describe("closing", () => {
  test("is noticed by the other end, after the frames that were sent before", () => {
    const { a, b } = setUp()
    let calls = 0
    b.onReadable = () => {
      calls++
    }
    send(a, pattern(20))
    a.close()
    a.close()
    expect(calls).toBe(2)
    expect(receive(b)).toEqual([pattern(20)])
    expect(b.receive(new FrameBatch(1))).toBe(-Errno.EPIPE)
    expect(send(b, pattern(20), pattern(20))).toBe(2)
  })

  test("ends the own end too", () => {
    const { a, b } = setUp()
    a.close()
    expect(a.receive(new FrameBatch(1))).toBe(-Errno.EPIPE)
    expect(send(a, pattern(20))).toBe(1)
    expect(receive(b)).toEqual([])
  })
})
