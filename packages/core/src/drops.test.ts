import { expect, test } from "vitest"
import { type DropReason, Drops } from "./drops.ts"

test("packets are counted by reason", () => {
  const drops = new Drops()
  const short = drops.reason("tcp: short")
  const checksum = drops.reason("tcp: checksum")
  drops.reason("tcp: never seen")
  drops.count(checksum)
  drops.count(short, 3)
  drops.count(checksum)
  expect(drops.get("tcp: short")).toBe(3)
  expect(drops.get("tcp: checksum")).toBe(2)
  expect(drops.get("tcp: unknown")).toBe(0)
  expect(drops.total).toBe(5)
  expect(drops.entries()).toEqual([
    ["tcp: short", 3],
    ["tcp: checksum", 2],
  ])
})

test("the same name is the same reason", () => {
  const drops = new Drops()
  expect(drops.reason("a")).toBe(drops.reason("a"))
  expect(drops.reason("a")).not.toBe(drops.reason("b"))
})

test("there may be more reasons than were made room for", () => {
  const drops = new Drops()
  const reasons: DropReason[] = []
  for (let index = 0; index < 300; index++) {
    reasons.push(drops.reason(`reason ${index}`))
    drops.count(reasons[index], index)
  }
  expect(reasons.map((_, index) => drops.get(`reason ${index}`))).toEqual(reasons.map((_, index) => index))
})
