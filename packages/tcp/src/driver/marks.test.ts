import { build, check, ScriptedConnection } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { bench, connected, PORT, SERVER, SERVER_V6, scripted } from "../test-support/bench.ts"

const families = {
  IPv4: { target: SERVER, routers: ["203.0.113.1", "203.0.113.2"], timeExceeded: [11, 0], own: "192.0.2.1" },
  IPv6: { target: SERVER_V6, routers: ["2001:db8:f::1", "2001:db8:f::2"], timeExceeded: [3, 0], own: "2001:db8::1" },
} as const

describe.each(Object.entries(families))("how packets are treated on their way, over %s", (_, family) => {
  const { target, routers, own } = family
  const [type, code] = family.timeExceeded

  test("the SYN leaves with the guest's hop limit and DSCP, and ECN is left to the host's kernel", () => {
    const memory = bench()
    const guest = scripted(memory, { target })
    guest.hopLimit = 255
    guest.trafficClass = 0xbb
    guest.connect()
    const { connection } = memory.listener
    expect([connection.hopLimit, connection.trafficClass]).toEqual([255, 0xb8])
  })

  test("later payload is sent as the guest sends it then, and an acknowledgement changes nothing", () => {
    const { memory, guest, world } = connected({ ends: { target } })
    guest.trafficClass = 0x48
    guest.hopLimit = 9
    guest.send("A")
    memory.run(1)
    expect([world.hopLimit, world.trafficClass]).toEqual([64, 0])
    guest.send("A", "interactive from here on")
    memory.run(1)
    expect([world.hopLimit, world.trafficClass]).toEqual([9, 0x48])
  })

  test("tracing a route finds every router by its own name, then the server", () => {
    const memory = bench({ sockets: { rtt: 20 } })
    memory.sockets.world.route(target, { hops: routers })
    for (const [index, router] of routers.entries()) {
      const probe = scripted(memory, { target, sourcePort: 50_000 + index, sequence: 7 })
      probe.hopLimit = index + 1
      probe.send("S")
      memory.run(20)
      memory.guest.expect(
        check.ip({ source: router, target: probe.source }),
        check.icmp({ type, code }),
        check.quote(
          check.ip({ source: probe.source, target }),
          check.tcp({ sourcePort: 50_000 + index, targetPort: PORT, sequence: 7 }),
        ),
      )
    }
    memory.guest.expectNothing()
    expect(memory.leftovers()).toEqual([])
    const last = scripted(memory, { target })
    last.hopLimit = 3
    last.send("S")
    memory.run(20)
    last.expect(check.tcp({ flags: "SA" }))
  })

  test("routers are asked for reports only until the connection is made", () => {
    const memory = bench({ sockets: { rtt: 20 } })
    const { sockets } = memory
    const { tcpConnect, stopQueuingErrors } = sockets
    let asking = 0
    sockets.tcpConnect = (side, demiflow, hopLimit, trafficClass, queuesErrors) => {
      if (queuesErrors) asking++
      return tcpConnect.call(sockets, side, demiflow, hopLimit, trafficClass, queuesErrors)
    }
    sockets.stopQueuingErrors = (socket) => {
      asking--
      stopQueuingErrors.call(sockets, socket)
    }
    const guest = scripted(memory, { target })
    guest.hopLimit = 3
    guest.send("S")
    memory.run(10)
    expect(asking).toBe(1)
    memory.run(10)
    guest.expect(check.tcp({ flags: "SA" }))
    expect(asking).toBe(0)
  })

  test("a SYN between the same ends that goes farther asks the next router, even while one doesn't answer", () => {
    const memory = bench({ sockets: { rtt: 20 } })
    memory.sockets.world.route(target, { hops: routers, tcp: "silent" })
    const probe = scripted(memory, { target, sequence: 7 })
    // To the server, which is silent; then to the second router.
    probe.hopLimit = 3
    probe.send("S", "", { sequence: 7 })
    memory.run(100)
    memory.guest.expectNothing()
    probe.hopLimit = 2
    probe.send("S", "", { sequence: 7 })
    memory.run(20)
    memory.guest.expect(check.ip({ source: routers[1] }), check.icmp({ type, code }))
    expect(memory.leftovers()).toEqual([])
  })

  test("a SYN that comes again as it was is still the same one", () => {
    const memory = bench({ sockets: { rtt: 20 } })
    const guest = scripted(memory, { target, sequence: 7 })
    guest.hopLimit = 5
    guest.send("S", "", { sequence: 7 })
    guest.send("S", "", { sequence: 7 })
    memory.run(20)
    expect(memory.listener.connections).toHaveLength(1)
    guest.expect(check.tcp({ flags: "SA" }))
    memory.guest.expectNothing()
  })

  test("nothing leaves for a SYN with a hop limit of 0, which nobody may send (RFC 1122, section 3.2.1.7)", () => {
    const memory = bench()
    const { addressV4, addressV6 } = memory.guest
    const source = target === SERVER ? addressV4 : addressV6
    memory.guest.send(build.ip(source, target, 0), build.tcp({ sourcePort: 1_000, targetPort: PORT, flags: "S" }))
    memory.guest.expectNothing()
    expect(memory.drops.entries()).toEqual([["tcp: hop limit 0", 1]])
    expect(memory.flows.size).toBe(0)
  })

  test("a connection from outside has the DSCP of its SYN on the way to the guest", () => {
    const memory = bench()
    memory.stack.listen(
      6,
      { address: undefined, port: 8_080, interfaceName: undefined, freebind: false },
      undefined,
      80,
    )
    const from = { address: target, port: 999 }
    const world = memory.sockets.world.connect(from, { address: own, port: 8_080 }, { trafficClass: 0x8b })
    memory.run(1)
    const guest = ScriptedConnection.fromSyn(memory.guest)
    guest.accept()
    world.write("marked")
    const { ip } = guest.expectSome(check.payload("marked"))
    expect(ip?.trafficClass).toBe(0x88)
  })
})
