/** Many waiting connections cost others nothing. */
import { HollowStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { TcpFlag } from "./connection/segment.ts"
import { tcp } from "./index.ts"

const FLOWS = 30_000
/** A search through {@link FLOWS} connections takes several times as long, on any machine. */
const LIMIT_MICROSECONDS = 40
/** Correspondents that are polled in one tick. */
const MOST_ASKED = 256

/** Connections that have sent something and been silent for so long that each correspondent is polled once a second. */
function silent(unacknowledged: (socket: number) => number): HollowStack {
  // Far away, and nothing that is sent arrives.
  let sent = 0
  const hollow = new HollowStack([tcp({ holdPoolSize: 0, acknowledgeOnAcceptRtt: -1 })], {
    sockets: { unacknowledged, send: () => ++sent && 1 },
  })
  const numbers = Array.from({ length: FLOWS }, (_, flow) => hollow.connect(flow))
  for (const [flow, number] of numbers.entries()) hollow.sendSegment(flow, TcpFlag.acknowledgement, 1, number, 1)
  expect(sent).toBe(FLOWS)
  for (let second = 0; second < 10; second++) {
    hollow.endTurn(1_000)
    while (hollow.stack.nextDeadline() <= hollow.clock.now) hollow.endTurn()
  }
  return hollow
}

test("a tick costs nothing for connections whose correspondents are slow to acknowledge and aren't asked yet", () => {
  const hollow = silent(() => 1)
  let shortest = Number.POSITIVE_INFINITY
  for (let tick = 0; tick < 300; tick++) {
    hollow.stack.endTurn()
    hollow.clock.now++
    const began = performance.now()
    for (const handler of hollow.stack.handlers) handler.tick?.(hollow.clock.now)
    shortest = Math.min(shortest, performance.now() - began)
  }
  expect(shortest * 1000).toBeLessThan(LIMIT_MICROSECONDS)
})

test("of many that are due at once, each turn asks a few, none twice before all were asked, and none late for ever", () => {
  const asked = new Uint32Array(FLOWS + 3)
  let total = 0
  const hollow = silent((socket) => {
    asked[socket]++
    total++
    return 1
  })
  const turn = () => {
    const before = total
    hollow.endTurn()
    return total - before
  }
  const turns = Math.ceil(FLOWS / MOST_ASKED)
  for (const milliseconds of [0, 1]) {
    asked.fill(0)
    total = 0
    // All wait for the same time, give or take a second.
    hollow.clock.now += 2_000
    let most = 0
    for (let count = 0; count < turns; count++, hollow.clock.now += milliseconds) most = Math.max(most, turn())
    expect(most).toBe(MOST_ASKED)
    expect(asked.subarray(3).every((times) => times === 1)).toBe(true)
    expect(turn()).toBe(0)
    expect(hollow.stack.nextDeadline()).toBeGreaterThan(hollow.clock.now)
  }
})
