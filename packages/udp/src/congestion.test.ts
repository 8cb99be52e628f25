import { SocketEvent } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, pattern } from "./test-support/bench.ts"
import type { ScriptedSocket } from "./test-support/scripted-host.ts"

const server = "198.51.100.7"
const many = (count: number, length = 10) => Array.from({ length: count }, (_, index) => pattern(length, index))

/** Returns a stack with a flow to each of some ports, each from a port of its own. */
function connected(flows: number, room?: number): { bench: Bench; sockets: ScriptedSocket[] } {
  const bench = new Bench({ room })
  for (let port = 1; port <= flows; port++) {
    bench.fromGuest("192.0.2.2", 40_000 + port, server, port, { payload: pattern(1) })
  }
  return { bench, sockets: [...bench.sockets.sockets] }
}

const portsOf = (bench: Bench) => bench.guest.datagrams.map(({ tap }) => tap.forwardingPort)

describe("while the guest is congested", () => {
  test("nothing is received, no time is asked for, and it comes once the link takes frames again", () => {
    const { bench, sockets } = connected(1)
    const deadline = bench.stack.nextDeadline()
    bench.guest.isCongested = true
    bench.fromHost(sockets[0], ...many(3))
    expect(sockets[0].receivingCalls).toEqual([])
    expect(bench.stack.nextDeadline()).toBe(deadline)
    bench.guest.isCongested = false
    bench.stack.resume()
    expect(bench.guest.datagrams).toHaveLength(3)
    bench.stack.resume()
    expect(bench.guest.datagrams).toHaveLength(3)
  })

  test("not even a link without room is asked again and again", () => {
    const { bench, sockets } = connected(1, 200_000)
    const deadline = bench.stack.nextDeadline()
    bench.guest.isStuck = true
    bench.guest.onFlush = () => {
      bench.guest.isCongested = true
    }
    bench.fromHost(sockets[0], ...many(10, 60_000))
    expect(bench.guest.datagrams).toHaveLength(3)
    bench.advance(1)
    expect(bench.stack.nextDeadline()).toBe(deadline)
    bench.guest.onFlush = () => {}
    bench.guest.isCongested = bench.guest.isStuck = false
    bench.guest.flush()
    bench.stack.resume()
    bench.advance(1)
    expect(bench.guest.datagrams).toHaveLength(10)
    expect(bench.drops.total).toBe(0)
  })

  test("the link is asked in the middle of a flood, before it has to drop anything", () => {
    const { bench, sockets } = connected(3, 16 << 20)
    let taken = 0
    bench.guest.onFlush = () => {
      const bytes = bench.guest.datagrams.reduce((sum, { payload }) => sum + payload.length, 0)
      bench.guest.isCongested = bytes - taken > 0
    }
    for (const socket of sockets) {
      socket.incoming.push(...many(200, 16_000).map((bytes) => ({ bytes, segmentSize: 0 })))
      bench.stack.fromHost(socket.side, SocketEvent.readable)
    }
    const first = bench.guest.datagrams.length
    expect(first * 16_000).toBeLessThan(1.2e6)
    for (let turn = 0; turn < 100; turn++) {
      taken = bench.guest.datagrams.reduce((sum, { payload }) => sum + payload.length, 0)
      bench.guest.isCongested = false
      bench.stack.resume()
      bench.stack.endTurn()
    }
    expect(bench.guest.datagrams).toHaveLength(600)
  })

  test("flows get their turns in the order in which they wait, nobody twice before another", () => {
    const { bench, sockets } = connected(3, 16 << 20)
    bench.guest.isCongested = true
    for (const socket of sockets) bench.fromHost(socket, ...many(600, 9001))
    bench.guest.onFlush = () => {
      bench.guest.isCongested = true
    }
    for (let turn = 0; turn < 1000 && bench.guest.datagrams.length < 1800; turn++) {
      bench.guest.isCongested = false
      bench.stack.resume()
      bench.stack.endTurn()
    }
    const order = portsOf(bench).filter((port, index, all) => port !== all[index - 1])
    expect(order.length).toBeGreaterThan(15)
    expect(order).toEqual(order.map((_, index) => (index % 3) + 1))
    expect(bench.guest.datagrams).toHaveLength(1800)
  })

  test("listening sockets are not read either, and no flow begins", () => {
    const bench = new Bench()
    const listener = bench.listen(53)
    bench.guest.isCongested = true
    bench.fromAnyone(listener, server, 1, "192.0.2.1", pattern(5), pattern(6))
    expect(listener.receivingCalls).toEqual([])
    expect(bench.flows.size).toBe(0)
    expect(bench.stack.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
    bench.guest.isCongested = false
    bench.stack.resume()
    expect(bench.guest.datagrams).toHaveLength(2)
  })

  test("a listener that is closed, and a flow that ends, wait no more", () => {
    const { bench, sockets } = connected(1)
    const listener = bench.listen(53)
    bench.guest.isCongested = true
    bench.fromAnyone(listener, server, 1, "192.0.2.1", pattern(5))
    bench.fromHost(sockets[0], pattern(5))
    bench.stack.unlisten(0 as never)
    bench.stack.abortFlows()
    bench.guest.isCongested = false
    bench.stack.resume()
    expect(bench.guest.datagrams).toEqual([])
    expect(bench.sockets.openSockets).toBe(0)
  })

  test("the guest's own datagrams, and errors about them, go on", () => {
    const { bench, sockets } = connected(1)
    bench.guest.isCongested = true
    bench.fromGuest("192.0.2.2", 40_001, server, 1, { payload: pattern(7) })
    expect(sockets[0].datagrams).toHaveLength(2)
    sockets[0].errors.push({ errno: 111, origin: 2, icmpType: 3, icmpCode: 3, payload: pattern(7) })
    bench.event(sockets[0], SocketEvent.error)
    expect(bench.guest.sent).toHaveLength(1)
  })

  test("a guest that comes in the place of one that left all congested gets what arrives", () => {
    const bench = new Bench()
    const listener = bench.listen(53)
    bench.stack.start()
    bench.guest.isCongested = true
    bench.fromAnyone(listener, server, 1, "192.0.2.1", pattern(5))
    bench.stack.stop()
    bench.guest.isCongested = false
    bench.stack.start()
    expect(bench.guest.datagrams.map(({ payload }) => payload.length)).toEqual([5])
  })
})
