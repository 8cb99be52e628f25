/** What many connections that wait cost others: nothing. */
import { HostEvent, IpProtocol, targetSide } from "@demiflow/core"
import { HollowStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { tcp } from "./index.ts"
import { TCP_ACKNOWLEDGEMENT, TCP_FLAGS, TCP_HEADER_LENGTH, TCP_SEQUENCE, TcpFlag } from "./wire.ts"

const FLOWS = 30_000
/** Looking through so many connections takes several times as long, on any machine. */
const LIMIT_MICROSECONDS = 40

test("a tick costs nothing for connections whose correspondents are slow to acknowledge and aren't asked yet", () => {
  // Far away, and nothing that is sent gets there.
  let sent = 0
  const hollow = new HollowStack([tcp({ holdPoolSize: 0, acknowledgeOnAcceptRtt: -1 })], {
    host: { unacknowledged: () => 1, send: () => ++sent && 1 },
  })
  const { arena, packet, received, stack } = hollow
  const send = (flow: number, flags: number, number: number, acknowledgement: number, length = 0) => {
    arena.view.setInt32(packet + TCP_SEQUENCE, number)
    arena.view.setInt32(packet + TCP_ACKNOWLEDGEMENT, acknowledgement)
    arena.view.setUint8(packet + 12, 5 << 4)
    arena.view.setUint8(packet + TCP_FLAGS, flags)
    arena.view.setUint16(packet + 14, 0xffff)
    hollow.send(IpProtocol.tcp, flow, TCP_HEADER_LENGTH + length)
  }
  for (let flow = 0; flow < FLOWS; flow++) {
    send(flow, TcpFlag.syn, 0, 0)
    stack.fromHost(targetSide(flow as never), HostEvent.writable)
    const next = (arena.view.getInt32(received + TCP_SEQUENCE) + 1) | 0
    send(flow, TcpFlag.acknowledgement, 1, next)
    send(flow, TcpFlag.acknowledgement, 1, next, 1)
  }
  expect(sent).toBe(FLOWS)
  // Silent for so long that each is asked once a second.
  for (let second = 0; second < 10; second++) hollow.endTurn(1_000)
  let shortest = Number.POSITIVE_INFINITY
  for (let tick = 0; tick < 300; tick++) {
    stack.endTurn()
    hollow.clock.now++
    const began = performance.now()
    for (const handler of stack.handlers) handler.tick?.(hollow.clock.now)
    shortest = Math.min(shortest, performance.now() - began)
  }
  expect(shortest * 1000).toBeLessThan(LIMIT_MICROSECONDS)
})
