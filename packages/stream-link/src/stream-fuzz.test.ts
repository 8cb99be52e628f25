/** Hypervisors that send arbitrary bytes. Each run is identified by its seed. */
import { Drops, ETHERNET_HEADER_LENGTH, FrameBatch } from "@demiflow/core"
import { SeededRandom } from "@demiflow/testkit"
import { describe, expect, it } from "vitest"
import { FRAME_LENGTH_BYTES, isFrameLength, LONGEST_STREAM_FRAME } from "./framing.ts"
import { StreamLink } from "./stream-link.ts"
import {
  arena,
  concatenate,
  framed,
  framesOf,
  isClosed,
  limitSendBuffer,
  native,
  numberedFrame,
  OtherEnd,
  socketPair,
} from "./test-support.ts"

const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1)
const drops = new Drops()
const link = new StreamLink(native, arena, { backlogBytes: 100_000, receiveBytes: 80_000, drops })
const region = arena.reserve(2 << 20)

function attach(): OtherEnd {
  const [own, others] = socketPair()
  link.attach(own)
  return new OtherEnd(others)
}

function anyLength(random: SeededRandom): number {
  const kind = random.below(20)
  if (kind === 0) return LONGEST_STREAM_FRAME - random.below(2)
  if (kind < 3) return 1 + random.below(20)
  return ETHERNET_HEADER_LENGTH + random.below(kind < 6 ? 20_000 : 1_501)
}

describe("any stream", () => {
  it.each(SEEDS)("gives its frames up to where it breaks, and then ends: seed %i", (seed) => {
    const random = new SeededRandom(seed)
    const other = attach()
    const own = link.descriptor
    const sent = Array.from({ length: 40 }, (_, index) => numberedFrame(index, anyLength(random)))
    const whole = sent.filter((frame) => frame.length >= ETHERNET_HEADER_LENGTH)
    const endings = [
      new Uint8Array(0),
      framed(new Uint8Array(30)).subarray(0, 1 + random.below(32)),
      framed(new Uint8Array(30), random.chance(0.5) ? 0 : LONGEST_STREAM_FRAME + 1 + random.below(1 << 30)),
      Uint8Array.from({ length: 300 }, () => 128 + random.below(128)),
    ]
    const kind = random.below(endings.length)
    const stream = concatenate([...sent.map((frame) => framed(frame)), endings[kind]])
    const batch = new FrameBatch(1 + random.below(70))
    const received: Uint8Array[] = []
    for (let at = 0, result = 0; result >= 0; ) {
      const to = Math.min(stream.length, at + 1 + random.below(random.chance(0.2) ? 200_000 : 3_000))
      if (!isClosed(other.descriptor)) {
        other.write(stream.subarray(at, to))
        if (to === stream.length && other.isAllWritten) other.close()
      }
      at = to
      do {
        result = link.receive(batch)
        received.push(...framesOf(batch))
      } while (result >= 0 && link.isFrameWaiting)
    }
    expect(received.length).toBe(whole.length)
    for (const [index, frame] of received.entries()) expect(Buffer.compare(frame, whole[index])).toBe(0)
    expect(link.end?.kind).toBe(kind < 2 ? "closed" : "bad length")
    if (link.end?.kind === "bad length") expect(isFrameLength(link.end.length)).toBe(false)
    link.close()
    expect(isClosed(own)).toBe(true)
    if (!isClosed(other.descriptor)) other.close()
  })

  it("takes no memory, however many come and go", () => {
    const random = new SeededRandom(1)
    const batch = new FrameBatch(64)
    const remaining = arena.remaining
    for (let round = 0; round < 300; round++) {
      const other = attach()
      other.write(Uint8Array.from({ length: random.below(2_000) }, () => random.below(random.chance(0.9) ? 3 : 256)))
      if (random.chance(0.5)) other.close()
      for (let turn = 0; turn < 10 && link.receive(batch) >= 0; turn++);
      if (!isClosed(other.descriptor)) other.close()
    }
    link.close()
    expect(arena.remaining).toBe(remaining)
  })
})

describe("any other end that reads", () => {
  it.each(SEEDS)("gets what was taken, each frame once, whole and in order: seed %i", (seed) => {
    const random = new SeededRandom(seed)
    const other = attach()
    if (random.chance(0.7)) limitSendBuffer(link.descriptor, 4_096 << random.below(5))
    const batch = new FrameBatch(32)
    const taken: Uint8Array[] = []
    const arrived: Uint8Array[] = []
    for (let round = 0, number = 0; round < 60; round++) {
      const frames = Array.from({ length: random.below(33) }, () =>
        numberedFrame(number++, 18 + random.below(random.chance(0.1) ? 65_000 : 1_500)),
      )
      let at = region
      for (const [index, frame] of frames.entries()) {
        arena.bytes.set(frame, at + FRAME_LENGTH_BYTES)
        batch.setPlain(index, at + FRAME_LENGTH_BYTES, frame.length)
        at += FRAME_LENGTH_BYTES + frame.length
      }
      taken.push(...frames.slice(0, link.send(batch, 0, frames.length)))
      if (random.chance(0.5)) arrived.push(...other.read(random.below(60_000)))
      if (random.chance(0.5)) link.drain()
    }
    while (!link.drain()) arrived.push(...other.read())
    arrived.push(...other.read())
    expect(arrived.length).toBe(taken.length)
    for (const [index, frame] of arrived.entries()) expect(Buffer.compare(frame, taken[index])).toBe(0)
    expect([link.end, other.partial, drops.total - drops.get("link: shorter than an Ethernet header")]).toEqual([
      undefined,
      0,
      0,
    ])
    other.close()
    link.close()
  })
})
