import { type Components, IpProtocol, PlaceShare, type PlaceShareId } from "@demiflow/core"
import { takePlace } from "@demiflow/protocol-kit"
import { build, check, type MemoryStack, type MemoryStackOptions, memoryStack, occupyFlows } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { udp } from "./index.ts"
import { families } from "./test-support/families.ts"

const gaveWay = "udp: gave way unanswered"

const { guest: guestAddress, server, router } = families.IPv4

/** Sets up UDP beside another protocol, which needs sockets and places too. */
function setUp(options: MemoryStackOptions = {}) {
  let needy: Components | undefined
  const other = (components: Components) => {
    needy = components
    return { name: "needy", claims: [], fromGuest: () => components.drops.reason("never") }
  }
  const memory = memoryStack([other, udp()], options)
  // The server answers, the router doesn't.
  memory.sockets.world.receive({ address: server, port: 53 }, ({ text, reply }) => reply(text))
  memory.sockets.world.receive({ address: router, port: 53 }, () => {})
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
  const fill = (count: number) => needy && occupyFlows(needy.flows, needy.handlerNumber, count)
  const takeOther = (share: PlaceShareId) => needy !== undefined && takePlace(needy, 253, share) >= 0
  return { memory, send, ask, relieve, fill, takeOther }
}

describe("where the guest's ports take all sockets", () => {
  test("the unanswered one used longest ago gives way to another one, before any that was answered", () => {
    const { memory, send, ask } = setUp({ sockets: { descriptors: 4 } })
    ask(1)
    for (const port of [2, 3, 4]) send(port, router)
    send(2, router)
    ask(5)
    expect([memory.sockets.openSockets, memory.flows.size]).toEqual([4, 4])
    const { opened } = memory.sockets
    for (const port of [1, 2, 4, 5]) send(port)
    expect(memory.sockets.opened).toBe(opened)
    expect(memory.drops.entries()).toEqual([[gaveWay, 1]])
  })

  test("of those that were answered, the one that has rested longest does, with all of its flows", () => {
    const { memory, send, ask } = setUp({ sockets: { descriptors: 3 } })
    for (const port of [1, 2, 3]) ask(port)
    send(1, router)
    send(2)
    send(3)
    ask(4)
    expect([memory.sockets.openSockets, memory.flows.size]).toEqual([3, 3])
    const { opened } = memory.sockets
    for (const port of [2, 3, 4]) send(port)
    expect(memory.sockets.opened).toBe(opened)
    expect(memory.drops.total).toBe(0)
  })

  test("one that asked just now is kept, where an answered one has rested for a second", () => {
    const { memory, send, ask } = setUp({ sockets: { descriptors: 4 } })
    for (const port of [1, 2, 3]) ask(port)
    memory.run(1_000)
    ask(1)
    send(4, router)
    ask(5)
    send(4, router)
    ask(1)
    expect([memory.sockets.openSockets, memory.sockets.opened, memory.drops.total]).toEqual([4, 5, 0])
    // The next flow gets the socket of the other idle one.
    ask(6)
    ask(4)
    ask(5)
    expect([memory.sockets.openSockets, memory.sockets.opened, memory.drops.total]).toEqual([4, 6, 0])
  })

  test("one that was not answered in a second gives way before what was answered and has rested as long", () => {
    const { memory, send, ask } = setUp({ sockets: { descriptors: 4 } })
    for (const port of [1, 2, 3]) ask(port)
    send(4, router)
    memory.run(1_000)
    ask(5)
    expect([memory.sockets.openSockets, memory.drops.entries()]).toEqual([4, [[gaveWay, 1]]])
    for (const port of [1, 2, 3]) ask(port)
    expect(memory.sockets.opened).toBe(5)
  })

  test("where nothing has rested for a second, what has rested longest gives way", () => {
    const { memory, send, ask } = setUp({ sockets: { descriptors: 3 } })
    ask(1)
    memory.run(500)
    send(2, router)
    ask(3)
    ask(4)
    send(2)
    ask(3)
    expect([memory.sockets.opened, memory.drops.total]).toEqual([4, 0])
  })

  test("a flood that nobody answers ends nothing that was answered, however long that has rested", () => {
    const { memory, send, ask } = setUp({ sockets: { descriptors: 16 } })
    for (const port of [1, 2, 3]) ask(port)
    memory.run(5_000)
    for (let port = 100; port < 200; port++) send(port, router)
    const { opened } = memory.sockets
    for (const port of [1, 2, 3]) ask(port)
    expect([memory.sockets.openSockets, memory.sockets.opened]).toEqual([16, opened])
    expect(memory.drops.entries()).toEqual([[gaveWay, 87]])
  })

  test("a port with any number of flows gives its socket at once, and its flows one after the other", () => {
    const { memory, send, ask, relieve } = setUp()
    for (let target = 1; target <= 200; target++) send(1, `203.0.113.${target}`)
    ask(2)
    memory.run(1_000)
    expect([relieve(), memory.sockets.openSockets, memory.flows.size]).toEqual([true, 1, 200])
    // The guest may continue meanwhile: its port gets a socket again.
    send(1, "203.0.113.1")
    memory.run(10)
    expect([memory.sockets.openSockets, memory.flows.size]).toEqual([2, 2])
    ask(2)
    expect(memory.sockets.opened).toBe(3)
  })

  test("other protocols have the sockets of those that weren't answered, or rest; not those of conversations", () => {
    const { memory, send, ask, relieve } = setUp()
    ask(1)
    ask(2)
    send(3, router)
    expect([relieve(), memory.sockets.openSockets]).toEqual([false, 3])
    memory.run(1_000)
    expect([relieve(), memory.sockets.openSockets]).toEqual([true, 2])
    expect([relieve(), memory.sockets.openSockets]).toEqual([false, 2])
    memory.run(8_000)
    ask(1)
    memory.run(1_000)
    expect([relieve(), memory.sockets.openSockets]).toEqual([true, 1])
    expect([relieve(), memory.sockets.openSockets]).toEqual([false, 1])
    memory.run(10_000)
    expect([relieve(), memory.sockets.openSockets]).toEqual([true, 0])
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
    // The first flow has given way last.
    const { opened } = memory.sockets
    for (let port = 32; port <= 60; port++) send(port)
    expect(memory.sockets.opened).toBe(opened)
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

describe("where the guest's flows take all places, another protocol", () => {
  test("has that of a flow that nobody answers, whichever side begins there", () => {
    const { memory, send, ask, takeOther } = setUp({ capacity: 32 })
    ask(1)
    for (let port = 2; port <= 30; port++) send(port, router)
    // A flow whose question was sent just now gives way to nothing from outside.
    expect(takeOther(PlaceShare.fromOutside)).toBe(false)
    memory.run(1_000)
    expect([takeOther(PlaceShare.fromOutside), takeOther(PlaceShare.exchanges)]).toEqual([true, true])
    expect([memory.flows.size, memory.drops.get(gaveWay)]).toEqual([30, 2])
    ask(1)
    expect(memory.sockets.opened).toBe(30)
  })

  test("has that of a flow that has rested for ten seconds, if it is the guest's as well", () => {
    const { memory, ask, takeOther } = setUp({ capacity: 32 })
    for (let port = 1; port <= 30; port++) ask(port)
    memory.run(9_900)
    expect([takeOther(PlaceShare.fromOutside), takeOther(PlaceShare.exchanges)]).toEqual([false, false])
    memory.run(100)
    expect([takeOther(PlaceShare.fromOutside), takeOther(PlaceShare.exchanges)]).toEqual([false, true])
    expect([memory.flows.size, memory.drops.entries()]).toEqual([30, [["flow: table full", 3]]])
  })
})

/** Listens for a guest's port. Senders outside begin flows there, which the guest answers or not. */
function listenFor(memory: MemoryStack) {
  const own = { address: "192.0.2.1", port: 5_000 }
  const end = { address: undefined, port: own.port, interfaceName: undefined, freebind: false }
  const listener = memory.stack.listen(IpProtocol.udp, end, undefined, own.port)
  const begin = (port: number) => {
    memory.sockets.world.send({ address: server, port }, own, "?")
    memory.run(1)
  }
  const exchange = (port: number) => {
    memory.sockets.world.receive({ address: server, port }, () => {})
    begin(port)
    memory.guest.expect(check.udp({ sourcePort: port, targetPort: own.port }))
    memory.guest.send(
      build.ip(guestAddress, server),
      build.udp({ sourcePort: own.port, targetPort: port }),
      build.payload("!"),
    )
    memory.run(1)
  }
  return { listener, begin, exchange }
}

test("senders from outside leave an eighth of the places to the guest, and give way to each other", () => {
  const { memory, ask } = setUp({ capacity: 32 })
  const { listener, begin, exchange } = listenFor(memory)
  for (let port = 1_000; port < 1_028; port++) exchange(port)
  exchange(1_000)
  expect(memory.flows.size).toBe(28)
  // An answered flow that is in use doesn't give way to one that begins outside.
  begin(1_028)
  expect([memory.guest.takeAll(), memory.drops.get("flow: table full")]).toEqual([[], 1])
  memory.run(1_000)
  exchange(1_000)
  // Another flow was idle longest.
  exchange(1_028)
  expect(memory.flows.size).toBe(28)
  ask(1)
  ask(2)
  expect(memory.flows.size).toBe(30)
  // The guest takes precedence over senders from outside.
  ask(3)
  expect([memory.flows.size, memory.drops.total]).toEqual([30, 1])
  // A closed port frees its number at once, and its flows end one after the other.
  expect(memory.sockets.openSockets).toBe(4)
  memory.stack.unlisten(listener)
  expect([memory.sockets.openSockets, memory.flows.size]).toEqual([3, 29])
  memory.run(1)
  expect(memory.flows.size).toBe(3)
})

test("senders from outside give way to each other before questions of the guest's do, which have a second to be answered", () => {
  const { memory, send } = setUp({ capacity: 32 })
  const { begin, exchange } = listenFor(memory)
  for (let port = 1_000; port < 1_025; port++) exchange(port)
  memory.run(1_000)
  for (const port of [1, 2, 3]) send(port, router)
  expect([memory.flows.size, memory.sockets.openSockets]).toEqual([28, 4])
  // They take the places of conversations from outside that were idle for a second.
  for (let port = 1_025; port < 1_050; port++) exchange(port)
  expect([memory.flows.size, memory.sockets.openSockets, memory.drops.total]).toEqual([28, 4, 0])
  // Once all are in use, there is no place for another.
  begin(1_050)
  expect([memory.guest.takeAll(), memory.drops.entries()]).toEqual([[], [["flow: table full", 1]]])
  const { opened } = memory.sockets
  for (const port of [1, 2, 3]) send(port, router)
  expect(memory.sockets.opened).toBe(opened)
  memory.run(1_000)
  for (let port = 1_025; port < 1_050; port++) exchange(port)
  exchange(1_050)
  expect([memory.flows.size, memory.sockets.openSockets, memory.drops.get(gaveWay)]).toEqual([28, 3, 1])
})

test("what comes by a flow of a closed port says nothing of the next sender to the port that has its number since", () => {
  const { memory, send, relieve } = setUp()
  const hear = (address: string, port: number) => {
    memory.sockets.world.send({ address, port }, { address: "192.0.2.1", port: 1 }, "!")
    memory.turn()
  }
  const silent = "203.0.113.254"
  send(1, silent)
  hear(silent, 69)
  send(1, router)
  for (let target = 2; target <= 200; target++) send(1, `203.0.113.${target}`)
  memory.run(1_000)
  expect([relieve(), memory.sockets.openSockets]).toEqual([true, 0])
  for (const to of [silent, router]) {
    memory.guest.send(build.ip(guestAddress, to), build.udp({ sourcePort: 1, targetPort: 53 }), build.payload("?"))
  }
  memory.turn()
  hear(silent, 69)
  memory.guest.expectSome(check.udp({ sourcePort: 69 }))
  // By now, the flows of the closed port have ended, the silent one last. The next flow to begin gets its place.
  memory.run(10)
  expect(memory.flows.size).toBe(2)
  memory.guest.takeAll()
  hear(router, 70)
  memory.guest.expect(check.ip({ source: router }), check.udp({ sourcePort: 70 }))
})
