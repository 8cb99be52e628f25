/** Frames take no memory, neither each nor each call: the addon's part allocates nothing, and is played here. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Drops, FrameBatch, Segmentation } from "@demiflow/core"
import type { Native } from "@demiflow/sys"
import { bytesPerCall } from "@demiflow/testkit"
import { expect, it } from "vitest"
import { SUPPORTED_FEATURES } from "./features.ts"
import { arena, native } from "./test-support/front-end.ts"
import { VhostUserLink } from "./vhost-user-link.ts"

setFlagsFromString("--expose-gc")
const heap = { collect: runInNewContext("gc") as () => void, used: () => process.memoryUsage().heapUsed }

const FRAMES = 8
const LENGTH = 1_000
const region = arena.reserve(FRAMES * 1_088, 64)

/** A guest that always has frames, each second one with a header that lies, and takes as many as `room` says. */
class QuietRings {
  room = FRAMES

  ringTake(_: number, offset: number, _room: number, _longest: number, _maximum: number, lengths: number): number {
    for (let index = 0, at = offset; index < FRAMES; index++, at += (LENGTH + 63) & -64) {
      arena.words[(lengths >> 2) + index] = LENGTH
      arena.bytes[at] = 1
      arena.bytes[at + 1] = index % 2 === 0 ? 1 : 2
      arena.view.setUint16(at + 4, 100, true)
      arena.view.setUint16(at + 6, 34, true)
      arena.view.setUint16(at + 8, 16, true)
    }
    return FRAMES
  }

  ringGive(_: number, _vectors: number, count: number): number {
    return Math.min(count, this.room)
  }

  ringArm(): number {
    return 0
  }
}

const rings = new QuietRings()
const drops = new Drops()
const link = new VhostUserLink(
  Object.assign(Object.create(native), {
    ringTake: rings.ringTake.bind(rings),
    ringGive: rings.ringGive.bind(rings),
    ringArm: rings.ringArm.bind(rings),
  }) as Native,
  arena,
  { drops },
)
link.agree(SUPPORTED_FEATURES)
link.useRing("fromGuest", 0)
link.useRing("toGuest", 1)

const batch = new FrameBatch(FRAMES)
for (let index = 0; index < FRAMES; index++) {
  batch.setPlain(index, region + 64 + index * 1_088, LENGTH)
  batch.segmentation[index] = Segmentation.tcp4
  batch.segmentSize[index] = 100
  batch.checksumStart[index] = 34
}

it("receiving frames takes no memory", () => {
  const received = new FrameBatch(FRAMES * 2)
  let count = 0
  const bytes = bytesPerCall(heap, () => {
    count += link.receive(received)
  })
  expect(bytes).toBeLessThan(1)
  expect(count).toBe(drops.get("link: impossible segmentation"))
})

it("sending them takes none, also when they wait", () => {
  const send = (): void => void link.send(batch, 0, FRAMES)
  expect(bytesPerCall(heap, send)).toBeLessThan(1)
  rings.room = 3
  const sendAndDrain = (): void => {
    link.send(batch, 0, FRAMES)
    rings.room = FRAMES
    link.drain()
    rings.room = 3
  }
  expect(bytesPerCall(heap, sendAndDrain)).toBeLessThan(1)
  expect(link.isCongested).toBe(false)
})
