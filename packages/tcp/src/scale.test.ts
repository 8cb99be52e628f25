/** What many connections that wait cost others: nothing. */
import { HollowStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { tcp } from "./index.ts"
import { TcpFlag } from "./wire.ts"

const FLOWS = 30_000
/** Looking through so many connections takes several times as long, on any machine. */
const LIMIT_MICROSECONDS = 40

test("a tick costs nothing for connections whose correspondents are slow to acknowledge and aren't asked yet", () => {
  // Far away, and nothing that is sent gets there.
  let sent = 0
  const hollow = new HollowStack([tcp({ holdPoolSize: 0, acknowledgeOnAcceptRtt: -1 })], {
    host: { unacknowledged: () => 1, send: () => ++sent && 1 },
  })
  for (let flow = 0; flow < FLOWS; flow++) hollow.sendSegment(flow, TcpFlag.acknowledgement, 1, hollow.connect(flow), 1)
  expect(sent).toBe(FLOWS)
  // Silent for so long that each is asked once a second.
  for (let second = 0; second < 10; second++) hollow.endTurn(1_000)
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
