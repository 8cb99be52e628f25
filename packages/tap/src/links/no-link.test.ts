import { Arena, FrameBatch } from "@demiflow/core"
import { expect, test } from "vitest"
import { NoLink } from "./no-link.ts"

test("nothing comes, and whatever is sent is taken", () => {
  const link = new NoLink(new Arena(64))
  const batch = new FrameBatch(4)
  batch.count = 3
  expect(link.receive(batch)).toBe(0)
  expect(batch.count).toBe(0)
  expect(link.send(batch, 1, 3)).toBe(3)
})
