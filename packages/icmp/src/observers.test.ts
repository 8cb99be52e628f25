import { FlowEnd, type Observer } from "@demiflow/core"
import { build } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { families, icmpStack, ping } from "./test-support.ts"

test.each(families)("observers hear that a ping is answered, and its totals, over IPv$version", (family) => {
  const lines: unknown[] = []
  const observer: Observer = {
    opened: () => lines.push("opened"),
    changed: (_flow, state) => lines.push(state),
    closed: (_flow, end, totals) => lines.push(Object.keys(FlowEnd)[end], totals),
  }
  const memory = icmpStack({ observers: [observer] })
  for (let round = 0; round < 2; round++) {
    for (const sequence of [1, 2, 3]) memory.guest.send(...ping(family, 0x1234, sequence), build.patternPayload(56))
    memory.run()
    expect(lines.splice(0)).toEqual(["opened", "answered"])
    memory.run(60_000)
    // The second flow has the state of the first, and begins at 0.
    expect(lines.splice(0)).toEqual([
      "timedOut",
      { packetsFromGuest: 3, bytesFromGuest: 168, packetsToGuest: 3, bytesToGuest: 168 },
    ])
  }
})
