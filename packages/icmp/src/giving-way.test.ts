import type { Components } from "@demiflow/core"
import { check, memoryStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { icmp } from "./index.ts"
import { families, icmpStack, ping } from "./test-support.ts"

const [family] = families

test("pings give way to other protocols that need sockets, the one with the oldest request first, until none is left", () => {
  let relieve: Components["relieve"] = () => false
  const needy = (components: Components) => {
    relieve = components.relieve
    return { name: "needy", claims: [], fromTap: () => components.drops.reason("never") }
  }
  const memory = memoryStack([needy, icmp()], { host: { descriptors: 8 } })
  for (let identifier = 0; identifier < 12; identifier++) {
    memory.guest.send(...ping(family, identifier, 1))
    memory.run(1)
  }
  memory.run(30_000)
  // A ping that needs a socket has the oldest one's.
  expect(memory.guest.takeAll()).toHaveLength(12)
  expect(memory.drops.total).toBe(0)
  for (let left = 8; left > 0; left--) {
    expect(memory.host.openSockets).toBe(left)
    expect(relieve()).toBe(true)
  }
  expect(relieve()).toBe(false)
  memory.run(1)
  expect(memory.leftovers()).toEqual([])
})

test("one guest has as many echo flows as the limit says, and the one with the oldest request gives way", () => {
  const memory = icmpStack({ capacity: 64 })
  const { guest, host } = memory
  const ask = (identifier: number, sequence: number) => {
    guest.send(...ping(family, identifier, sequence))
    memory.run(1)
    guest.expect(check.icmp({ type: family.reply, identifier, sequence }))
  }
  for (let identifier = 0; identifier < 16; identifier++) ask(identifier, 1)
  ask(0, 2)
  ask(16, 1)
  expect([host.openSockets, host.opened]).toEqual([16, 17])
  ask(0, 3)
  expect(host.opened).toBe(17)
  ask(1, 2)
  expect([host.openSockets, host.opened]).toEqual([16, 18])
})
