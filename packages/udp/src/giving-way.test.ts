import { type Components, IpProtocol, PlaceShare } from "@demiflow/core"
import { build, check, type MemoryStackOptions, memoryStack } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { udp } from "./index.ts"
import { families } from "./test-support/families.ts"

const gaveWay = "udp: gave way unanswered"

const { guest: guestAddress, server, router } = families.IPv4

/** Beside another protocol, which needs sockets and places too. */
function setUp(options: MemoryStackOptions = {}) {
  let needy: Components | undefined
  const other = (components: Components) => {
    needy = components
    return { name: "needy", claims: [], fromTap: () => components.drops.reason("never") }
  }
  const memory = memoryStack([other, udp()], options)
  // The server answers, the router doesn't.
  memory.host.world.receive({ address: server, port: 53 }, ({ text, reply }) => reply(text))
  memory.host.world.receive({ address: router, port: 53 }, () => {})
  const put = (port: number, to: string) => {
    const words = [build.ip(guestAddress, to), build.udp({ sourcePort: port, targetPort: 53 }), build.payload("?")]
    memory.guest.send(...words)
    memory.run(1)
  }
  const send = (port: number, to = server) => {
    put(port, to)
    memory.guest.takeAll()
  }
  const ask = (port: number) => {
    put(port, server)
    memory.guest.expect(check.udp({ sourcePort: 53, targetPort: port }), check.payload("?"))
  }
  const relieve = () => needy?.relieve()
  const fill = (count: number) => {
    for (let taken = 0; taken < count; taken++) needy?.flows.allocate(needy.handlerNumber, 253)
  }
  return { memory, send, ask, relieve, fill }
}

describe("where the guest's ports take all sockets", () => {
  test("the unanswered one used longest ago gives way to another one, before any that was answered", () => {
    const { memory, send, ask } = setUp({ host: { descriptors: 4 } })
    ask(1)
    for (const port of [2, 3, 4]) send(port, router)
    send(2, router)
    ask(5)
    expect([memory.host.openSockets, memory.flows.size]).toEqual([4, 4])
    const { opened } = memory.host
    for (const port of [1, 2, 4, 5]) send(port)
    expect(memory.host.opened).toBe(opened)
    expect(memory.drops.entries()).toEqual([[gaveWay, 1]])
  })

  test("of those that were answered, the one that has rested longest does, with all of its flows", () => {
    const { memory, send, ask } = setUp({ host: { descriptors: 3 } })
    for (const port of [1, 2, 3]) ask(port)
    send(1, router)
    send(2)
    send(3)
    ask(4)
    expect([memory.host.openSockets, memory.flows.size]).toEqual([3, 3])
    const { opened } = memory.host
    for (const port of [2, 3, 4]) send(port)
    expect(memory.host.opened).toBe(opened)
    expect(memory.drops.total).toBe(0)
  })

  test("other protocols have the sockets of those that weren't answered, or rest; not those of conversations", () => {
    const { memory, send, ask, relieve } = setUp()
    ask(1)
    ask(2)
    send(3, router)
    expect([relieve(), memory.host.openSockets]).toEqual([true, 2])
    expect([relieve(), memory.host.openSockets]).toEqual([false, 2])
    memory.run(9_000)
    ask(1)
    memory.run(1_000)
    expect([relieve(), memory.host.openSockets]).toEqual([true, 1])
    expect([relieve(), memory.host.openSockets]).toEqual([false, 1])
    memory.run(10_000)
    expect([relieve(), memory.host.openSockets]).toEqual([true, 0])
    memory.run(1)
    expect(memory.leftovers()).toEqual([])
  })
})

describe("where the guest's flows take all places that they may", () => {
  test("the unanswered one used longest ago gives way, then one that was answered", () => {
    const { memory, send, ask } = setUp({ capacity: 32 })
    ask(1)
    for (let port = 2; port <= 30; port++) send(port, router)
    send(2, router)
    expect(memory.flows.size).toBe(30)
    for (let port = 31; port <= 60; port++) ask(port)
    expect([memory.flows.size, memory.drops.entries()]).toEqual([30, [[gaveWay, 29]]])
    // The very first one has given way last.
    const { opened } = memory.host
    for (let port = 32; port <= 60; port++) send(port)
    expect(memory.host.opened).toBe(opened)
    expect(memory.flows.room(PlaceShare.all)).toBe(2)
  })

  test("nothing gives way in vain where connections have all places", () => {
    const { memory, send, ask, fill } = setUp({ capacity: 32 })
    ask(1)
    fill(31)
    send(2)
    expect([memory.flows.size, memory.drops.get("flow: table full")]).toEqual([32, 1])
    ask(1)
  })
})

test("senders from outside leave an eighth of the places to the guest, and give way to each other", () => {
  const { memory, ask } = setUp({ capacity: 32 })
  const own = { address: "192.0.2.1", port: 5_000 }
  const end = { address: undefined, port: own.port, interfaceName: undefined, freebind: false }
  memory.stack.listen(IpProtocol.udp, end, undefined, own.port)
  const exchange = (port: number) => {
    memory.host.world.receive({ address: server, port }, () => {})
    memory.host.world.send({ address: server, port }, own, "?")
    memory.guest.expect(check.udp({ sourcePort: port, targetPort: own.port }))
    memory.guest.send(
      build.ip(guestAddress, server),
      build.udp({ sourcePort: own.port, targetPort: port }),
      build.payload("!"),
    )
    memory.run(1)
  }
  for (let port = 1_000; port < 1_028; port++) exchange(port)
  exchange(1_000)
  expect(memory.flows.size).toBe(28)
  // The one that has rested longest is another one.
  exchange(1_028)
  expect(memory.flows.size).toBe(28)
  ask(1)
  ask(2)
  expect(memory.flows.size).toBe(30)
  // The guest goes before those from outside.
  ask(3)
  expect([memory.flows.size, memory.drops.total]).toEqual([30, 0])
})
