import { Arena, FrameBatch } from "@demiflow/core"
import { memoryLinkPair } from "@demiflow/tap"
import { expect, it, vi } from "vitest"
import { captureTo } from "./capture.ts"

it("a capture that can't be written any more ends with one warning, and the packets go on", () => {
  const warning = vi.fn()
  const arena = new Arena(8 << 20)
  const [near, far] = memoryLinkPair(arena, arena)
  // Opens, and is full from the first byte on.
  const link = captureTo("/dev/full", near, { warning })
  const batch = new FrameBatch(1)
  for (let count = 0; count < 3; count++) {
    batch.setPlain(0, arena.reserve(64), 60)
    expect(link.send(batch, 0, 1)).toBe(1)
    expect(far.receive(batch)).toBe(1)
  }
  expect(warning).toHaveBeenCalledTimes(1)
  expect(warning.mock.calls[0][0]).toContain("/dev/full")
})
