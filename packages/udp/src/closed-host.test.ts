/** Datagrams that the policy keeps from the guest: `ForwardingPolicy` has the rule. */
import { IpProtocol } from "@demiflow/core"
import { build, check, type MemoryStackOptions, memoryStack } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { udp } from "./index.ts"
import { families } from "./test-support/families.ts"

const CLOSED = "forward: the host is closed to the guest"

describe.each(Object.entries(families))("a host that is closed, over %s", (name, { guest: guestAddress, server }) => {
  const isV4 = name === "IPv4"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"
  const second = isV4 ? "192.0.2.22" : "2001:db8::22"
  const prohibited = isV4 ? { type: 3, code: 13 } : { type: 1, code: 1 }

  function closedStack(options: Pick<MemoryStackOptions, "capacity"> = {}) {
    const ownAddresses = new Set([own])
    const closedHost = { isOwn: (address: object) => ownAddresses.has(String(address)) }
    return { memory: memoryStack([udp()], { ...options, link: { mtu: 65_535 }, closedHost }), ownAddresses }
  }

  const datagram = (to: string, content: string, from = guestAddress, targetPort = 53) => [
    build.ip(from, to),
    build.udp({ sourcePort: 40_000, targetPort }),
    build.payload(content),
  ]

  test("takes nothing of the guest's, which hears so; the same port goes on reaching others", () => {
    const { memory } = closedStack()
    const { guest, sockets } = memory
    sockets.world.receive(53, ({ text, reply }) => reply(`${text}!`))
    for (const content of ["one", "two"]) {
      guest.send(...datagram(server, content))
      guest.expect(check.ip({ source: server }), check.payload(`${content}!`))
      guest.send(...datagram(own, content))
      guest.expect(
        check.ip({ source: own }),
        check.icmp(prohibited),
        check.quote(check.ip({ source: guestAddress, target: own }), check.udp({ targetPort: 53 })),
      )
    }
    expect(memory.drops.entries()).toEqual([[CLOSED, 2]])
    expect(memory.flows.size).toBe(1)
  })

  test("takes nothing for groups, and the guest hears of no error", () => {
    const { memory } = closedStack()
    memory.guest.send(...datagram(isV4 ? "224.0.0.251" : "ff02::fb", "?"))
    memory.run()
    expect(memory.guest.takeAll()).toEqual([])
    expect(memory.drops.entries()).toEqual([[CLOSED, 1]])
    expect(memory.sockets.opened).toBe(0)
  })

  test("ends none of the guest's flows for a datagram that it doesn't take", () => {
    const { memory } = closedStack({ capacity: 32 })
    memory.sockets.world.receive(53, ({ text, reply }) => reply(text))
    const send = (port: number, to: string) => {
      memory.guest.send(build.ip(guestAddress, to), build.udp({ sourcePort: port, targetPort: 53 }), build.payload("?"))
      memory.run(1)
    }
    for (let port = 1; port <= 30; port++) send(port, server)
    for (let port = 1; port <= 5; port++) send(port, own)
    expect([memory.flows.size, memory.drops.get(CLOSED)]).toEqual([30, 5])
    const { opened } = memory.sockets
    for (let port = 1; port <= 30; port++) send(port, server)
    expect(memory.sockets.opened).toBe(opened)
  })

  test("may be answered where it has asked, from another address as well, and nowhere else", () => {
    const { memory } = closedStack()
    const { guest, sockets } = memory
    const anywhere = { address: undefined, port: 5353, interfaceName: undefined, freebind: false }
    memory.stack.listen(IpProtocol.udp, anywhere, undefined, 40_000)
    const answers: string[] = []
    const client = { address: own, port: 7777 }
    sockets.world.receive(client, ({ text }) => answers.push(text))
    sockets.world.send(client, { address: own, port: 5353 }, "?")
    guest.expect(check.ip({ source: own }), check.payload("?"))
    guest.send(...datagram(own, "answer", guestAddress, 7777))
    guest.send(...datagram(own, "answer of another address", second, 7777))
    guest.send(...datagram(own, "more", guestAddress, 7778))
    memory.run()
    expect(answers).toEqual(["answer", "answer of another address"])
    expect(memory.drops.entries()).toEqual([[CLOSED, 1]])
  })

  test("ends a flow whose correspondent's address has become its own, when its time would be renewed", () => {
    const { memory, ownAddresses } = closedStack()
    const { guest, sockets, clock } = memory
    const heard: string[] = []
    sockets.world.receive(53, ({ text }) => heard.push(text))
    guest.send(...datagram(server, "before"))
    ownAddresses.add(server)
    const until = clock.now + 180_000
    while (clock.now < until) {
      memory.run(10_000)
      guest.send(...datagram(server, "after"))
    }
    memory.run()
    expect(heard.length).toBeLessThan(13)
    expect(memory.drops.get(CLOSED)).toBeGreaterThan(4)
    expect(memory.flows.size).toBe(0)
  })
})
