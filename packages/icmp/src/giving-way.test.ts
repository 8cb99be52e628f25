import { type Components, NOT_MINE, PlaceShare } from "@demiflow/core"
import { check, memoryStack, occupyFlows } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { icmp } from "./index.ts"
import { families, icmpStack, ping } from "./test-support.ts"

const [family] = families

test("pings give way to other protocols that need sockets, the one with the oldest request first, until none is left", () => {
  let relieve: Components["relieve"] = () => false
  const needy = (components: Components) => {
    relieve = components.relieve
    return { name: "needy", claims: [], fromGuest: () => components.drops.reason("never") }
  }
  const memory = memoryStack([needy, icmp()], { sockets: { descriptors: 8 } })
  for (let identifier = 0; identifier < 12; identifier++) {
    memory.guest.send(...ping(family, identifier, 1))
    memory.run(1)
  }
  memory.run(30_000)
  // A ping that needs a socket gets the one with the oldest request, even if that was made just now.
  expect(memory.guest.takeAll()).toHaveLength(12)
  expect(memory.drops.total).toBe(0)
  for (let left = 8; left > 0; left--) {
    expect(memory.sockets.openSockets).toBe(left)
    expect(relieve()).toBe(true)
  }
  expect(relieve()).toBe(false)
  memory.run(1)
  expect(memory.leftovers()).toEqual([])
})

test("one guest has as many echo flows as the limit says, and the one with the oldest request gives way", () => {
  const memory = icmpStack({ capacity: 64 })
  const { guest, sockets } = memory
  const ask = (identifier: number, sequence: number) => {
    guest.send(...ping(family, identifier, sequence))
    memory.run(1)
    guest.expect(check.icmp({ type: family.reply, identifier, sequence }))
  }
  for (let identifier = 0; identifier < 16; identifier++) ask(identifier, 1)
  ask(0, 2)
  ask(16, 1)
  expect([sockets.openSockets, sockets.opened]).toEqual([16, 17])
  ask(0, 3)
  expect(sockets.opened).toBe(17)
  ask(1, 2)
  expect([sockets.openSockets, sockets.opened]).toEqual([16, 18])
})

test("a ping has the place of a flow that another protocol gives up", () => {
  let given = 0
  const holder = ({ flows, handlerNumber }: Components) => {
    occupyFlows(flows, handlerNumber, 15)
    const givePlace = () => ++given === 1
    return { name: "holder", claims: [], fromGuest: () => NOT_MINE, givePlace }
  }
  const memory = memoryStack([icmp(), holder], { capacity: 16 })
  const { flows, guest, sockets } = memory
  guest.send(...ping(family, 1, 1))
  guest.expect(check.icmp({ type: family.reply, identifier: 1 }))
  expect([given, flows.size]).toEqual([1, 16])
  // The table is full now: nothing is evicted in vain.
  guest.send(...ping(family, 2, 1))
  memory.run(1)
  guest.expectNothing()
  expect([given, flows.size, sockets.openSockets]).toEqual([1, 16, 1])
})

test("the place of a ping goes to another protocol of the guest's after a second, and to nothing that begins outside", () => {
  let makeRoom: Components["makeRoom"] = () => false
  const needy = (components: Components) => {
    makeRoom = components.makeRoom
    return { name: "needy", claims: [], fromGuest: () => components.drops.reason("never") }
  }
  const memory = memoryStack([needy, icmp()])
  memory.guest.send(...ping(family, 1, 1))
  memory.guest.expect(check.icmp({ type: family.reply, identifier: 1 }))
  memory.run(999)
  expect([makeRoom(PlaceShare.exchanges), makeRoom(PlaceShare.fromOutside)]).toEqual([false, false])
  memory.run(1)
  expect([makeRoom(PlaceShare.fromOutside), memory.flows.size]).toEqual([false, 1])
  expect([makeRoom(PlaceShare.all), memory.flows.size]).toEqual([true, 0])
})

test("an identifier gives way with all of its flows, that of the oldest last request first", () => {
  let relieve: Components["relieve"] = () => false
  const needy = (components: Components) => {
    relieve = components.relieve
    return { name: "needy", claims: [], fromGuest: () => components.drops.reason("never") }
  }
  const memory = memoryStack([needy, icmp()])
  const { flows, guest, sockets } = memory
  const ask = (identifier: number, to: string) => {
    guest.send(...ping(family, identifier, 1, { to }))
    memory.run(1)
    guest.expect(check.ip({ source: to }), check.icmp({ type: family.reply, identifier }))
  }
  const [first, second] = family.routers
  for (const to of [first, second]) for (const identifier of [1, 2]) ask(identifier, to)
  // The flow that was opened first, and is used last.
  ask(1, first)
  expect([sockets.openSockets, flows.size]).toEqual([2, 4])
  memory.run(998)
  expect(relieve()).toBe(true)
  // The other one was used a millisecond later.
  expect(relieve()).toBe(false)
  memory.run(1)
  expect([sockets.openSockets, flows.size]).toEqual([1, 2])
  ask(1, second)
  expect(sockets.opened).toBe(2)
  memory.run(1_000)
  expect(relieve()).toBe(true)
  memory.run(1)
  expect(memory.leftovers()).toEqual([])
  expect(relieve()).toBe(false)
})

test("at the limit, the flow with the oldest request alone gives way, and its identifier goes on with the others", () => {
  const memory = icmpStack({ capacity: 16 })
  const { flows, guest, sockets } = memory
  const servers = [1, 2, 3, 4, 5].map((number) => family.server.replace(/7$/, `${number}`))
  for (const to of servers) {
    guest.send(...ping(family, 1, 1, { to }))
    guest.expect(check.ip({ source: to }), check.icmp({ type: family.reply, identifier: 1 }))
    memory.run(1)
  }
  expect([flows.size, sockets.openSockets, sockets.opened]).toEqual([4, 1, 1])
})
