import { Address, IpProtocol, type ListenerRef } from "@demiflow/core"
import { build, check, type MemoryStackOptions, memoryStack, patternBytes, sameBytes } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { udp } from "./index.ts"
import { families } from "./test-support/families.ts"

function listeningStack(targetPort: number, options: MemoryStackOptions = {}) {
  const memory = memoryStack([udp()], { link: { mtu: 65_535 }, ...options })
  const listen = (port: number, target = targetPort): ListenerRef =>
    memory.stack.listen(
      IpProtocol.udp,
      { address: undefined, port, interfaceName: undefined, freebind: false },
      undefined,
      target,
    )
  return { ...memory, memory, listen }
}

describe.each(Object.entries(families))("a stack that listens over %s", (name, { guest: guestAddress, server }) => {
  const isV4 = name === "IPv4"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"
  const client = { address: server, port: 40_000 }

  test("a client's question reaches the guest, and the answer comes from the port that was asked", () => {
    const { memory, guest, sockets, listen, drops } = listeningStack(53)
    const listener = listen(5353)
    const answers: string[] = []
    sockets.world.receive(client, ({ text, hostAddress, hostPort }) =>
      answers.push(`${text} ${hostAddress} ${hostPort}`),
    )
    sockets.world.send(client, { address: own, port: 5353 }, "example.org?")
    guest.expect(
      check.ip({ source: server, target: guestAddress }),
      check.udp({ sourcePort: 40_000, targetPort: 53 }),
      check.payload("example.org?"),
    )
    guest.send(
      build.ip(guestAddress, server),
      build.udp({ sourcePort: 53, targetPort: 40_000 }),
      build.payload("192.0.2.99"),
    )
    memory.run()
    expect(answers).toEqual([`192.0.2.99 ${own} 5353`])
    sockets.world.send(client, { address: own, port: 5353 }, "and now?")
    guest.expect(check.udp({ sourcePort: 40_000, targetPort: 53 }), check.payload("and now?"))
    expect(memory.flows.size).toBe(1)
    memory.run(180_000)
    expect(memory.flows.size).toBe(0)
    sockets.world.send(client, { address: own, port: 5353 }, "still there?")
    guest.expect(check.payload("still there?"))
    memory.stack.unlisten(listener)
    memory.run(120_000)
    expect(memory.leftovers()).toEqual([])
    expect(drops.total).toBe(0)
  })

  test("an answer to a client that is gone is reported to the guest", () => {
    const { guest, sockets, listen } = listeningStack(53)
    listen(53)
    sockets.world.send(client, { address: own, port: 53 }, "?")
    guest.expect(check.payload("?"))
    guest.send(build.ip(guestAddress, server), build.udp({ sourcePort: 53, targetPort: 40_000 }), build.payload("!"))
    guest.expect(
      check.ip({ source: server }),
      check.icmp({ type: isV4 ? 3 : 1, code: isV4 ? 3 : 4 }),
      check.quote(
        check.ip({ source: guestAddress, target: server }),
        check.udp({ sourcePort: 53 }),
        check.payload("!"),
      ),
    )
  })

  test("a client on the host itself has the address that stands for its loopback, and is answered", () => {
    const gateway = isV4 ? "192.0.2.254" : "2001:db8::fe"
    const loopback = isV4 ? "127.0.0.1" : "::1"
    const hostLoopback = Address.parse(gateway)
    const { memory, guest, sockets, listen } = listeningStack(53, {
      rules: { v4: { hostLoopback }, v6: { hostLoopback } },
    })
    listen(53)
    const local = { address: loopback, port: 40_000 }
    const answers: string[] = []
    sockets.world.receive(local, ({ text }) => answers.push(text))
    sockets.world.send(local, { address: loopback, port: 53 }, "?")
    guest.expect(check.ip({ source: gateway, target: guestAddress }), check.udp({ sourcePort: 40_000 }))
    guest.send(build.ip(guestAddress, gateway), build.udp({ sourcePort: 53, targetPort: 40_000 }), build.payload("!"))
    memory.run()
    expect(answers).toEqual(["!"])
  })

  test("a service that speaks first does so from its port", () => {
    const { memory, guest, sockets, listen } = listeningStack(51_820)
    listen(51_820)
    const ports: number[] = []
    sockets.world.receive(client, ({ hostPort, reply }) => {
      ports.push(hostPort)
      reply("hello")
    })
    guest.send(
      build.ip(guestAddress, server),
      build.udp({ sourcePort: 51_820, targetPort: client.port }),
      build.payload("hello?"),
    )
    memory.run()
    expect(ports).toEqual([51_820])
    guest.expect(check.udp({ sourcePort: client.port, targetPort: 51_820 }), check.payload("hello"))
    expect(memory.flows.size).toBe(1)
    expect(sockets.violations).toEqual([])
  })

  test("whichever side sends, each datagram comes once, each answer to the one that was answered, and nothing is left behind", () => {
    const event = fc.record({
      client: fc.integer({ min: 100, max: 105 }),
      port: fc.constantFrom(5000, 5001, 5002),
      length: fc.nat(2000),
      pause: fc.constantFrom(0, 0, 1, 5, 200_000),
    })
    fc.assert(
      fc.property(fc.integer(), fc.array(event, { minLength: 1, maxLength: 40 }), (seed, events) => {
        const { memory, guest, sockets, listen, drops } = listeningStack(0, {
          seed,
          capacity: 128,
          sockets: {
            faults: { lateEvent: 0.3, lateness: 5, spuriousEvent: 0.3 },
            rtt: 4,
            jitter: 3,
            coalescesDatagrams: seed % 2 === 0,
          },
        })
        const listeners = [listen(5000, 53), listen(5001, 53), listen(5002, 5002)]
        const sent: string[] = []
        const heard: string[] = []
        const answers: string[] = []
        /** Returns a text that names its sender and target. */
        const question = (from: number, port: number, length: number) => {
          const text = `${sent.length} ${from} ${port} `.padEnd(length, "x")
          sent.push(text)
          return text
        }
        for (let port = 100; port < 106; port++) {
          sockets.world.receive({ address: server, port }, ({ text, hostPort }) => {
            const [, from, asked] = text.split(" ")
            expect([from, asked === `${hostPort}`]).toEqual([`${port}`, true])
            answers.push(text)
          })
        }
        const answerAll = () => {
          for (const { udp: header, payload, problems } of guest.takeAll()) {
            expect(problems).toEqual([])
            const text = String.fromCharCode(...payload)
            const { sourcePort = 0, targetPort = 0 } = header ?? {}
            expect(targetPort).toBe(text.includes(" 5002 ") ? 5002 : 53)
            heard.push(text)
            guest.send(
              build.ip(guestAddress, server),
              build.udp({ sourcePort: targetPort, targetPort: sourcePort }),
              build.payload(text),
            )
          }
        }
        for (const { client: from, port, length, pause } of events) {
          sockets.world.send({ address: server, port: from }, { address: own, port }, question(from, port, length))
          // An answer after its flow has ended would leave from elsewhere.
          if (pause > 1000) {
            memory.run(50)
            answerAll()
          }
          memory.run(pause)
          answerAll()
        }
        for (let round = 0; round < 3; round++) {
          memory.run(50)
          answerAll()
        }
        expect([...heard].sort()).toEqual([...sent].sort())
        expect([...answers].sort()).toEqual([...heard].sort())
        expect(drops.total).toBe(0)
        for (const ref of listeners) memory.stack.unlisten(ref)
        memory.run(200_000)
        expect(memory.leftovers()).toEqual([])
      }),
      { numRuns: 40 },
    )
  })

  test("datagrams of all sizes make their way there and back", () => {
    const { memory, guest, sockets, listen, drops } = listeningStack(53)
    listen(53)
    const back: number[] = []
    sockets.world.receive(client, ({ bytes }) =>
      back.push(sameBytes(bytes, patternBytes(bytes.length)) ? bytes.length : -1),
    )
    const sizes = [0, 1, 512, 1472, 8192, isV4 ? 65_507 : 65_487]
    for (const length of sizes) {
      sockets.world.send(client, { address: own, port: 53 }, patternBytes(length))
      guest.expect(check.payload(patternBytes(length)))
      guest.send(
        build.ip(guestAddress, server),
        build.udp({ sourcePort: 53, targetPort: 40_000 }),
        build.payload(patternBytes(length)),
      )
      memory.run()
    }
    expect(back).toEqual(sizes)
    expect(drops.total).toBe(0)
  })
})
