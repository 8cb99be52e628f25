import { Address, Interface, IpProtocol } from "@demiflow/core"
import { build, check, type MemoryStackOptions, memoryStack, patternBytes, sameBytes } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { udpWithLocalPath } from "./index.ts"
import { families } from "./test-support/families.ts"
import { type Direction, directions } from "./test-support/splicing.ts"

/** Listens at one end for the target at the other. */
function splicingStack({ place, rules, loopback, target }: Direction, options: MemoryStackOptions = {}) {
  const memory = memoryStack([udpWithLocalPath()], { localPath: true, rules, ...options })
  const { sockets, namespace } = memory
  const [near, far] = place === Interface.host ? [sockets, namespace] : [namespace, sockets]
  const listen = (port: number, targetPort: number) =>
    memory.stack.listen(
      IpProtocol.udp,
      { address: undefined, port, interfaceName: undefined, freebind: false },
      undefined,
      targetPort,
      place,
    )
  return {
    memory,
    near,
    far,
    listen,
    /** Returns a sender at a port of the near end's loopback address. */
    client: (port: number) => ({ address: loopback, port }),
    service: (port: number) => ({ address: loopback, port }),
    server: (port: number) => ({ address: target, port }),
  }
}

describe.each(directions)("a stack with a local path, $name", (direction) => {
  const isV4 = direction.name.includes("IPv4")

  test("a question and its answer go from socket to socket, between the ports that were asked for", () => {
    const { memory, near, far, listen, client, service, server } = splicingStack(direction)
    const listener = listen(5353, 53)
    const questions: string[] = []
    const answers: string[] = []
    far.world.receive(server(53), ({ text, reply }) => {
      questions.push(text)
      reply(`${text}!`)
    })
    near.world.receive(client(40_000), ({ text, hostAddress, hostPort }) =>
      answers.push(`${text} ${hostAddress} ${hostPort}`),
    )
    near.world.send(client(40_000), service(5353), "first")
    memory.run()
    near.world.send(client(40_000), service(5353), "second")
    memory.run()
    expect(questions).toEqual(["first", "second"])
    expect(answers).toEqual([`first! ${direction.loopback} 5353`, `second! ${direction.loopback} 5353`])
    expect(memory.flows.size).toBe(1)
    memory.guest.expectNothing()
    memory.run(179_999)
    expect(memory.flows.size).toBe(1)
    memory.run(1)
    expect(memory.flows.size).toBe(0)
    near.world.send(client(40_000), service(5353), "third")
    memory.run()
    expect(answers.at(-1)).toBe(`third! ${direction.loopback} 5353`)
    memory.stack.unlisten(listener)
    memory.run(180_000)
    near.world.send(client(40_000), service(5353), "fourth")
    memory.run()
    expect(questions).toHaveLength(3)
    expect(memory.drops.total).toBe(0)
    expect(memory.leftovers()).toEqual([])
  })

  test("where nobody listens datagrams are counted, and come again once somebody does", () => {
    const { memory, near, far, listen, client, service, server } = splicingStack(direction, { sockets: { rtt: 2 } })
    listen(5353, 53)
    for (let count = 0; count < 10; count++) {
      near.world.send(client(40_000), service(5353), `${count}`)
      memory.run(1)
    }
    memory.run(10)
    expect(memory.drops.entries()).toEqual([["udp: not delivered on the local path", 10]])
    expect(memory.flows.size).toBe(1)
    const questions: string[] = []
    far.world.receive(server(53), ({ text }) => questions.push(text))
    near.world.send(client(40_000), service(5353), "and now?")
    memory.run(10)
    expect(questions).toEqual(["and now?"])
    memory.run(30_000)
    expect(memory.leftovers()).toEqual([])
  })

  test("an answer to a client that is gone is counted, and the flow goes on", () => {
    const { memory, near, far, listen, client, service, server } = splicingStack(direction)
    listen(5353, 53)
    far.world.receive(server(53), ({ reply }) => reply("nobody is there"))
    near.world.send(client(40_000), service(5353), "?")
    memory.run()
    expect(memory.drops.entries()).toEqual([["udp: not delivered on the local path", 1]])
    const answers: string[] = []
    near.world.receive(client(40_000), ({ text }) => answers.push(text))
    near.world.send(client(40_000), service(5353), "?")
    memory.run()
    expect(answers).toEqual(["nobody is there"])
  })

  test("datagrams of all sizes make their way there and back, alone and many at once", () => {
    const { memory, near, far, listen, client, service, server } = splicingStack(direction, {
      localPath: { namespace: { coalescesDatagrams: true, datagramBuffer: 4 << 20 } },
      sockets: { coalescesDatagrams: true, datagramBuffer: 4 << 20 },
    })
    listen(5353, 53)
    far.world.echo(server(53))
    const back: number[] = []
    near.world.receive(client(40_000), ({ bytes }) =>
      back.push(sameBytes(bytes, patternBytes(bytes.length)) ? bytes.length : -1),
    )
    const sizes = [0, 1, 512, 1472, 1472, 1472, 100, 8192, 0, 65_507]
    for (const length of sizes) {
      near.world.send(client(40_000), service(5353), patternBytes(length))
      memory.run()
    }
    expect(back).toEqual(sizes)
    for (let round = 0; round < 20; round++) {
      for (const length of sizes) near.world.send(client(40_000), service(5353), patternBytes(length))
    }
    memory.run(1)
    expect(back.slice(sizes.length)).toEqual(Array.from({ length: 20 }, () => sizes).flat())
    expect(memory.drops.total).toBe(0)
    if (isV4) return
    near.world.send(client(40_000), service(5353), patternBytes(65_527))
    memory.run()
    expect(memory.drops.entries()).toEqual([["udp: too large for the local path", 1]])
  })

  test("without descriptors at either end nothing is left half open, and nobody who was answered loses his flow", () => {
    for (const options of [
      { sockets: { descriptors: 6 } },
      { localPath: { namespace: { descriptors: 6 } } },
    ] satisfies MemoryStackOptions[]) {
      // It is the target's end where each flow has a socket.
      const isAtTarget = "sockets" in options !== (direction.place === Interface.host)
      if (!isAtTarget) continue
      const { memory, near, far, listen, client, service, server } = splicingStack(direction, options)
      const listener = listen(5353, 53)
      far.world.receive(server(53), ({ text, reply }) => {
        if (text === "important") reply("yes")
      })
      const answers: string[] = []
      near.world.receive(client(1), ({ text }) => answers.push(text))
      near.world.send(client(1), service(5353), "important")
      memory.run()
      for (let port = 2; port < 100; port++) {
        near.world.send(client(port), service(5353), "unimportant")
        memory.run()
      }
      near.world.send(client(1), service(5353), "important")
      memory.run()
      expect(answers).toEqual(["yes", "yes"])
      expect(memory.drops.entries()).toEqual([["udp: gave way unanswered", 93]])
      expect([near.openSockets, far.openSockets, memory.flows.size]).toEqual([1, 6, 6])
      memory.stack.unlisten(listener)
      memory.run(200_000)
      expect(memory.leftovers()).toEqual([])
    }
  })

  test("when the stack stops, all of both ends is closed", () => {
    const { memory, near, far, listen, client, service } = splicingStack(direction)
    const listener = listen(5353, 53)
    for (let port = 1; port <= 20; port++) near.world.send(client(port), service(5353), "?")
    memory.run()
    expect([near.openSockets, far.openSockets]).toEqual([1, 20])
    memory.stack.stop()
    memory.stack.unlisten(listener)
    expect([near.openSockets, far.openSockets]).toEqual([0, 0])
    memory.run(1)
    expect(memory.leftovers()).toEqual([])
  })

  test("whichever side sends, each datagram comes once, each answer to the one that asked, and nothing is left behind", () => {
    const event = fc.record({
      from: fc.integer({ min: 100, max: 105 }),
      port: fc.constantFrom(5000, 5001, 5002),
      length: fc.nat(3000),
      pause: fc.constantFrom(0, 0, 1, 5, 200_000),
    })
    fc.assert(
      fc.property(fc.integer(), fc.array(event, { minLength: 1, maxLength: 40 }), (seed, events) => {
        const kernel = {
          faults: { lateEvent: 0.3, lateness: 5, spuriousEvent: 0.3 },
          rtt: 4,
          jitter: 3,
          coalescesDatagrams: seed % 2 === 0,
        }
        const { memory, near, far, listen, client, service, server } = splicingStack(direction, {
          seed,
          capacity: 128,
          sockets: kernel,
          localPath: { namespace: kernel },
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
        for (const port of [53, 5002]) {
          far.world.receive(server(port), ({ text, reply }) => {
            const [, , asked] = text.split(" ")
            expect(port).toBe(asked === "5002" ? 5002 : 53)
            heard.push(text)
            reply(text)
          })
        }
        for (let port = 100; port < 106; port++) {
          near.world.receive(client(port), ({ text, hostPort }) => {
            const [, from, asked] = text.split(" ")
            expect([from, asked === `${hostPort}`]).toEqual([`${port}`, true])
            answers.push(text)
          })
        }
        for (const { from, port, length, pause } of events) {
          near.world.send(client(from), service(port), question(from, port, length))
          // An answer after its flow has ended would be lost.
          if (pause > 1000) memory.run(50)
          memory.run(pause)
        }
        memory.run(100)
        expect([...heard].sort()).toEqual([...sent].sort())
        expect([...answers].sort()).toEqual([...heard].sort())
        expect(memory.drops.total).toBe(0)
        memory.guest.expectNothing()
        for (const ref of listeners) memory.stack.unlisten(ref)
        memory.run(200_000)
        expect(memory.leftovers()).toEqual([])
      }),
      { numRuns: 30 },
    )
  })
})

describe.each(Object.entries(families))("one listener over %s", (name, { guest: guestAddress, server }) => {
  const isV4 = name === "IPv4"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"
  const [direction] = directions.filter((candidate) => candidate.name === `host to namespace, ${name}`)

  test("leads clients of this machine to a socket, and others over the link", () => {
    const { memory, near, far, listen, client, service, server: target } = splicingStack(direction)
    const listener = listen(5353, 53)
    const questions: string[] = []
    far.world.receive(target(53), ({ text, reply }) => {
      questions.push(text)
      reply("from a socket")
    })
    const answers: string[] = []
    near.world.receive(client(40_000), ({ text }) => answers.push(text))
    near.world.receive({ address: server, port: 40_000 }, ({ text }) => answers.push(text))
    near.world.send(client(40_000), service(5353), "local")
    near.world.send({ address: server, port: 40_000 }, { address: own, port: 5353 }, "from elsewhere")
    memory.guest.expect(
      check.ip({ source: server, target: guestAddress }),
      check.udp({ sourcePort: 40_000, targetPort: 53 }),
      check.payload("from elsewhere"),
    )
    memory.guest.send(
      build.ip(guestAddress, server),
      build.udp({ sourcePort: 53, targetPort: 40_000 }),
      build.payload("over the link"),
    )
    memory.run()
    expect(questions).toEqual(["local"])
    expect(answers.sort()).toEqual(["from a socket", "over the link"])
    expect(memory.flows.size).toBe(2)
    memory.stack.unlisten(listener)
    memory.run(180_000)
    expect(memory.leftovers()).toEqual([])
  })

  test("that leads to a loopback address of the namespace does so for everybody", () => {
    const memory = memoryStack([udpWithLocalPath()], { localPath: true, rules: direction.rules })
    const loopback = Address.parse(direction.loopback)
    const anywhere = { address: undefined, port: 5353, interfaceName: undefined, freebind: false }
    memory.stack.listen(IpProtocol.udp, anywhere, loopback, 53)
    memory.namespace.world.echo({ address: direction.loopback, port: 53 })
    const answers: string[] = []
    memory.sockets.world.receive({ address: server, port: 7 }, ({ text }) => answers.push(text))
    memory.sockets.world.send({ address: server, port: 7 }, { address: own, port: 5353 }, "from elsewhere")
    memory.run()
    expect(answers).toEqual(["from elsewhere"])
    memory.guest.expectNothing()
  })
})
