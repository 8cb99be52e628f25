import { FlowEnd, type FlowTotals, Interface, IpProtocol, type Observer } from "@demiflow/core"
import { check, patternBytes, ScriptedConnection } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { type Bench, bench, connect, scripted } from "./test-support/bench.ts"

/** What an observer hears of connections. */
function heard(memory: Bench): string[] {
  const lines: string[] = []
  const observer: Observer = {
    opened: ({ target }) => lines.push(`opened to port ${target.correspondentPort}`),
    changed: (_flow, state) => lines.push(state),
    closed: (_flow, end) => lines.push(`closed: ${Object.keys(FlowEnd)[end]}`),
  }
  memory.stack.observe(observer)
  return lines
}

describe("an observer", () => {
  test("hears of a connection's states, and of its orderly end", () => {
    const memory = bench()
    const lines = heard(memory)
    const guest = scripted(memory)
    guest.send("S", "")
    guest.expect(check.tcp({ flags: "SA" }))
    guest.send("A")
    memory.run(2)
    guest.send("FA")
    memory.run(2)
    memory.listener.connection.end()
    memory.run(2)
    guest.expectSome(check.tcp({ flags: (flags) => flags.includes("F") }))
    guest.send("A")
    memory.run(10_000)
    expect(memory.leftovers()).toEqual([])
    expect(lines[0]).toBe("opened to port 80")
    expect(lines).toContain("established")
    expect(lines.at(-1)).toBe("closed: done")
  })

  test("hears that a connection was refused, reset, or had no answer", () => {
    const memory = bench()
    const lines = heard(memory)
    scripted(memory, { port: 81 }).send("S", "")
    memory.run(2)
    memory.guest.takeAll()
    expect(lines.splice(0)).toEqual(["opened to port 81", "closed: aborted"])
    const guest = scripted(memory)
    guest.send("S", "")
    guest.expect(check.tcp({ flags: "SA" }))
    guest.send("A")
    memory.run(2)
    guest.send("R")
    memory.run(2)
    expect(lines.splice(0).at(-1)).toBe("closed: aborted")
    const silent = scripted(memory)
    silent.send("S", "")
    memory.run(3 * 3_600_000)
    expect(lines.at(-1)).toBe("closed: timedOut")
  })
})

describe("the totals of a connection", () => {
  /** A bench with an observer, and the totals that it hears. */
  function counted(options: Parameters<typeof bench>[0] = {}) {
    const totals: FlowTotals[] = []
    const memory = bench({ observers: [{ closed: (_flow, _end, carried) => totals.push(carried) }], ...options })
    return { memory, take: () => totals.splice(0) }
  }

  test("are bytes of payload, each once, without SYN and FIN", () => {
    const { memory, take } = counted()
    for (const isGuestFirst of [true, false]) {
      // Numbers start anew below 0.
      const { guest, world } = connect(memory, { ends: { sourcePort: 1, sequence: 0xffff_fff0 } })
      guest.send("A", patternBytes(100))
      memory.run()
      // Once more, as if our acknowledgement were lost.
      guest.sequence -= 100
      guest.send("A", patternBytes(100))
      world.write(patternBytes(3_000))
      // The guest acknowledges nothing, and is sent it again.
      memory.run(5_000)
      guest.acknowledgement += 3_000
      guest.send("A")
      if (isGuestFirst) guest.send("FA")
      else world.end()
      memory.run()
      if (isGuestFirst) world.end()
      else {
        guest.acknowledgement++
        guest.send("FA")
      }
      memory.run()
      if (isGuestFirst) guest.acknowledgement++
      guest.send("A")
      memory.run(5_000)
      memory.guest.takeAll()
      expect(take()).toEqual([{ bytesFromGuest: 100, bytesToGuest: 3_000 }])
    }
  })

  test("include at a reset what the host has not delivered, and what the guest has not acknowledged", () => {
    for (const end of ["guest", "world"] as const) {
      const { memory, take } = counted({ listen: { receiveBuffer: 10 } })
      const { guest, world } = connect(memory, {})
      world.pause()
      guest.send("A", patternBytes(1_000))
      world.write(patternBytes(500))
      memory.run()
      if (end === "guest") guest.send("R")
      else world.reset()
      memory.run()
      expect(take()).toEqual([{ bytesFromGuest: 1_000, bytesToGuest: 500 }])
    }
  })

  test("are right beyond 4 GiB, where the host counts in 64 bits, whatever is on its way", () => {
    const GIB = 2 ** 30
    const { memory, take } = counted({ listen: { receiveBuffer: 10 } })
    const { tcpInformation } = memory.sockets
    memory.sockets.tcpInformation = (socket, into) => {
      const result = tcpInformation.call(memory.sockets, socket, into)
      into.bytesAcknowledged += 8 * GIB
      into.bytesReceived += 12 * GIB
      return result
    }
    const { guest, world } = connect(memory, { window: 100 })
    world.pause()
    guest.send("A", patternBytes(1_000))
    // More than the guest's window.
    world.write(patternBytes(500))
    memory.run()
    guest.send("R")
    memory.run()
    expect(take()).toEqual([{ bytesFromGuest: 8 * GIB + 1_000, bytesToGuest: 12 * GIB + 100 }])
  })

  test("are 0 of a connection that was never established, and of one that began on the host as of any other", () => {
    const { memory, take } = counted()
    scripted(memory, { port: 81 }).send("S", "")
    memory.run()
    memory.guest.takeAll()
    expect(take()).toEqual([{ bytesFromGuest: 0, bytesToGuest: 0 }])
    const end = { interface: Interface.host, address: undefined, port: 2222, interfaceName: undefined, freebind: false }
    memory.stack.listen(IpProtocol.tcp, end, undefined, 22)
    const world = memory.sockets.world.connect(
      { address: "203.0.113.9", port: 5_000 },
      { address: "192.0.2.1", port: 2222 },
    )
    memory.run()
    const guest = ScriptedConnection.fromSyn(memory.guest)
    guest.accept({})
    world.write("hello")
    guest.send("A", "hi")
    memory.run()
    guest.send("R")
    memory.run()
    expect(take()).toEqual([{ bytesFromGuest: 2, bytesToGuest: 5 }])
  })

  test("are unknown if the observer came later, and aren't those of a connection before", () => {
    const memory = bench()
    const totals: FlowTotals[] = []
    const observe = () => memory.stack.observe({ closed: (_flow, _end, carried) => totals.push(carried) })
    const stop = observe()
    const seen = connect(memory, { ends: { sourcePort: 1 } })
    stop()
    seen.guest.send("R")
    memory.run()
    const unseen = connect(memory, { ends: { sourcePort: 2 } })
    observe()
    unseen.guest.send("A", "unseen")
    memory.run()
    unseen.guest.send("R")
    memory.run()
    expect(totals).toEqual([{}])
  })
})
