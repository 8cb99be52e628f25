import { FlowEnd, Interface, IpProtocol, type Observer } from "@demiflow/core"
import { memoryStack, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { tcpWithLocalPath } from "../index.ts"

const LOOPBACK = "127.0.0.1"
/** More than the sockets hold. */
const BULK = 3 << 20

const sizes = (bytesFromGuest: number, bytesToGuest: number) => ({ bytesFromGuest, bytesToGuest })

/** A local connection, begun at one of the two places, and what an observer hears of it. */
function observed(place: typeof Interface.host | typeof Interface.splice, { isRefused = false } = {}) {
  const lines: unknown[] = []
  const observer: Observer = {
    opened: () => lines.push("opened"),
    changed: (_flow, state) => lines.push(state),
    closed: (_flow, end, totals) => lines.push(Object.keys(FlowEnd)[end], totals),
  }
  const memory = memoryStack([tcpWithLocalPath({ holdPoolSize: 1 << 16 })], {
    localPath: true,
    rules: { splicing: { takesFromHost: true, keepsLoopback: false, isOnly: false }, v4: {}, v6: {} },
    observers: [observer],
  })
  const [near, far] = place === Interface.host ? [memory.sockets, memory.namespace] : [memory.namespace, memory.sockets]
  const end = { address: undefined, port: 8080, interfaceName: undefined, freebind: false }
  expect(memory.stack.listen(IpProtocol.tcp, end, undefined, 80, place)).toBeGreaterThanOrEqual(0)
  const begin = () => {
    const server = isRefused ? undefined : far.world.listen(80)
    const client = near.world.connect({ address: LOOPBACK, port: 5000 }, { address: LOOPBACK, port: 8080 })
    memory.run()
    return { client, server }
  }
  return { memory, begin, take: () => lines.splice(0) }
}

describe.each([
  ["the host", Interface.host, "finWait1", "closeWait"],
  ["inside the namespace", Interface.splice, "closeWait", "finWait1"],
] as const)("an observer of a local connection from %s", (_, place, nearEnds, farEnds) => {
  /** What is sent by the end that connects, and by the end that accepts. */
  const totals = (near: number, far: number) => (place === Interface.host ? sizes(far, near) : sizes(near, far))

  test.each([
    ["connects", nearEnds],
    ["accepts", farEnds],
  ])("hears that it is established, which end has closed first, and its totals: the end that %s", (first, state) => {
    const { memory, begin, take } = observed(place)
    const { client, server } = begin()
    if (server === undefined) expect.fail()
    expect(take()).toEqual(["opened", "established"])
    client.write("question")
    server.connection.write(patternBytes(BULK))
    memory.run(100)
    const [one, other] = first === "connects" ? [client, server.connection] : [server.connection, client]
    one.end()
    memory.run()
    expect(take()).toEqual([state])
    other.end()
    memory.run()
    expect(take()).toEqual(["done", totals(8, BULK)])
  })

  test("hears of all that was read at a reset, though some was in a pipe, and of nothing of the one before", () => {
    const { memory, begin, take } = observed(place)
    const pipes = memory.localPath?.pipes
    if (pipes === undefined) expect.fail()
    const moved = { fill: 0, drain: 0 }
    for (const call of ["fill", "drain"] as const) {
      const move = pipes[call] as (...parameters: number[]) => number
      pipes[call] = (...parameters: number[]) => {
        const count = move.apply(pipes, parameters)
        moved[call] += Math.max(count, 0)
        return count
      }
    }
    for (const isLarge of [true, false]) {
      moved.fill = moved.drain = 0
      const { client, server } = begin()
      if (server === undefined) expect.fail()
      server.connection.pause()
      client.write(patternBytes(isLarge ? BULK : 7))
      memory.run()
      expect(pipes.openPipes).toBe(1)
      server.connection.reset()
      memory.run()
      server.close()
      expect(moved.fill > moved.drain).toBe(isLarge)
      expect(take()).toEqual(["opened", "established", "aborted", totals(moved.fill, 0)])
    }
  })

  test("hears that it was refused, and carried nothing", () => {
    const { begin, take } = observed(place, { isRefused: true })
    begin()
    expect(take()).toEqual(["opened", "aborted", totals(0, 0)])
  })
})
