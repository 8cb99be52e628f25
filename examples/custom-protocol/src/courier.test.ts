import { build, check, memoryStack, payload } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe, expect, test } from "vitest"
import { COURIER_PROTOCOL, courier } from "./courier.ts"

// The suite that demiflow's own protocols pass.
describe("courier", () =>
  protocolCompliance(() => ({
    plugin: courier(),
    prepare: ({ sockets }) => sockets.world.echo(7),
    samples: ({ v4, v6, number }) => [
      [
        build.ip(v4, "198.51.100.7", 64, COURIER_PROTOCOL),
        payload(`${String.fromCharCode(0x20, number, 0, 7)}a letter`),
      ],
      [
        build.ip(v6, "2001:db8:1::7", 64, COURIER_PROTOCOL),
        payload(`${String.fromCharCode(0x20, number, 0, 7)}another letter`),
      ],
      [build.ip(v4, "198.51.100.7", 64, COURIER_PROTOCOL), payload(String.fromCharCode(0x20, number, 0, 9))],
    ],
  })))

describe.each([
  { name: "IPv4", guestAddress: "192.0.2.2", other: "192.0.2.3", first: "198.51.100.7", second: "198.51.100.8" },
  { name: "IPv6", guestAddress: "2001:db8::2", other: "2001:db8::3", first: "2001:db8:1::7", second: "2001:db8:1::8" },
])("all correspondents of a port, over $name", ({ guestAddress, other, first, second }) => {
  const letter = (from: string, to: string) => [
    build.ip(from, to, 64, COURIER_PROTOCOL),
    payload(`${String.fromCharCode(0x20, 1, 0, 7)}a letter`),
  ]

  function answeredBy(...addresses: string[]) {
    const memory = memoryStack([courier()])
    const senders: string[] = []
    for (const address of addresses) {
      memory.sockets.world.receive({ address, port: 7 }, ({ hostAddress, hostPort, reply }) => {
        senders.push(`${hostAddress} ${hostPort}`)
        reply(`from ${address}`)
      })
    }
    const answerTo = (from: string, to: string) => {
      memory.guest.send(...letter(from, to))
      const { payload: bytes } = memory.guest.expect(check.ip({ source: to, target: from }))
      return String.fromCharCode(...bytes.subarray(4))
    }
    return { memory, senders, answerTo }
  }

  test("see the same sender, and each answers for itself", () => {
    const { memory, senders, answerTo } = answeredBy(first, second)
    expect([first, second, first].map((to) => answerTo(guestAddress, to))).toEqual(
      [first, second, first].map((to) => `from ${to}`),
    )
    expect([new Set(senders).size, senders[0].split(" ")[1]]).toEqual([1, `${0x2001}`])
    expect(memory.sockets.openSockets).toBe(1)
    memory.run(60_000)
    expect(memory.leftovers()).toEqual([])
  })

  test("distinguish two addresses of the guest where both speak to one", () => {
    const { memory, senders, answerTo } = answeredBy(first)
    expect([guestAddress, other].map((from) => answerTo(from, first))).toEqual([`from ${first}`, `from ${first}`])
    expect(new Set(senders).size).toBe(2)
    expect(memory.drops.total).toBe(0)
  })

  test("are all that is heard", () => {
    const { memory, senders, answerTo } = answeredBy(first)
    answerTo(guestAddress, first)
    const [address, port] = senders[0].split(" ")
    memory.sockets.world.send({ address: second, port: 7 }, { address, port: Number(port) }, "unasked")
    memory.run(10)
    expect(memory.drops.entries()).toEqual([["courier: from a stranger", 1]])
    expect(memory.guest.takeAll()).toEqual([])
  })
})
