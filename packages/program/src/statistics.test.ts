import { Drops } from "@demiflow/core"
import { expect, it } from "vitest"
import { Statistics } from "./statistics.ts"

it("prints a table if something has happened since the last one, and nothing if not", () => {
  const link = { framesFromGuest: 0, bytesFromGuest: 0, framesToGuest: 0, bytesToGuest: 0 }
  const drops = new Drops()
  let flows = 0
  const statistics = new Statistics({ link, drops, flowCount: () => flows })
  expect(statistics.report()).toEqual([])
  link.framesFromGuest = 2
  link.bytesFromGuest = 120
  drops.count(drops.reason("udp: checksum"), 3)
  expect(statistics.report()).toEqual([
    "Statistics:",
    "    from guest               2 frames, 120 bytes",
    "    to guest                 0 frames, 0 bytes",
    "    flows                    0",
    "    dropped (udp: checksum)  3",
  ])
  expect(statistics.report()).toEqual([])
  flows = 1
  expect(statistics.report()[3]).toMatch(/flows +1$/)
})
