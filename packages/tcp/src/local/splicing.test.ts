import { Errno, Interface, IpProtocol, type ListenerRef } from "@demiflow/core"
import { type MemoryStack, type MemoryStackOptions, memoryStack, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { tcp, tcpWithLocalPath } from "../index.ts"

const families = {
  IPv4: { loopback: "127.0.0.1", guest: "192.0.2.2", elsewhere: "203.0.113.9", own: "192.0.2.1" },
  IPv6: { loopback: "::1", guest: "2001:db8::2", elsewhere: "2001:db8:9::9", own: "2001:db8::1" },
} as const

const SPLICING = { takesFromHost: true, keepsLoopback: false, isOnly: false }
const { host, splice } = Interface

function bench(options: MemoryStackOptions = {}): MemoryStack {
  return memoryStack([tcpWithLocalPath({ holdPoolSize: 1 << 16 })], {
    localPath: true,
    rules: { splicing: SPLICING, v4: {}, v6: {} },
    ...options,
  })
}

function listen(memory: MemoryStack, place: typeof host | typeof splice, port = 8080, targetPort = 80): ListenerRef {
  const end = { address: undefined, port, interfaceName: undefined, freebind: false }
  return memory.stack.listen(IpProtocol.tcp, end, undefined, targetPort, place)
}

/** Connects a client to a server through the local path. */
function connected(memory: MemoryStack, place: typeof host | typeof splice, loopback: string) {
  const [from, to] = place === host ? [memory.sockets, memory.namespace] : [memory.namespace, memory.sockets]
  const server = to.world.listen(80)
  expect(listen(memory, place)).toBeGreaterThanOrEqual(0)
  const client = from.world.connect({ address: loopback, port: 5000 }, { address: loopback, port: 8080 })
  memory.run()
  return { client, server, accepted: server.connection, from, to }
}

function expectNothingLeft(memory: MemoryStack): void {
  memory.run(10)
  expect(memory.leftovers()).toEqual([])
}

test("connections from inside the namespace don't wait behind those that the guest doesn't answer", () => {
  const { loopback, own, elsewhere } = families.IPv4
  const memory = bench({ capacity: 512, sockets: { backlog: 1_000 } })
  for (let port = 2_000; port < 2_020; port++) {
    listen(memory, host, port, 22)
    for (let from = 6_000; from < 6_100; from++) {
      memory.sockets.world.connect({ address: elsewhere, port: from }, { address: own, port })
    }
  }
  memory.run(20)
  // As many as may be half open.
  expect(memory.flows.size).toBe(64)
  expect(connected(memory, splice, loopback).server.connections).toHaveLength(1)
})

test("a stack that is closed leaves no pipe open", () => {
  const memory = bench()
  const { client, accepted } = connected(memory, host, families.IPv4.loopback)
  client.write("question")
  memory.run()
  expect([accepted.receivedText, memory.localPath?.pipes.openPipes]).toEqual(["question", 1])
  memory.close()
  expect([memory.localPath?.pipes.openPipes, ...memory.leftovers()]).toEqual([0])
})

describe.each(Object.entries(families))("a local connection over %s", (_name, { loopback, guest, elsewhere, own }) => {
  describe.each([
    ["from the host", host],
    ["from inside the namespace", splice],
  ] as const)("%s", (_where, place) => {
    test("carries both ways, ends a direction at a time, and leaves nothing", () => {
      const memory = bench()
      const { client, accepted } = connected(memory, place, loopback)
      client.write("question")
      memory.run()
      expect(accepted.receivedText).toBe("question")
      client.end()
      memory.run()
      expect([accepted.isEnded, client.isEnded]).toEqual([true, false])
      accepted.write("answer")
      accepted.end()
      memory.run()
      expect([client.receivedText, client.isEnded]).toEqual(["answer", true])
      memory.guest.expectNothing()
      expectNothingLeft(memory)
    })

    test("is ended by the reset with which a closed end answers once it is forgotten, behind what it sent", () => {
      for (const isRead of [true, false]) {
        const memory = bench()
        const { client, accepted } = connected(memory, place, loopback)
        const content = patternBytes(200_000)
        if (!isRead) accepted.pause()
        client.write(content)
        client.end()
        memory.run(59_000)
        expect(client.questions).toBe(0)
        memory.run(2_000)
        expect(client.questions).toBe(1)
        client.reset()
        memory.run()
        expect(accepted.isReset).toBe(isRead)
        accepted.resume()
        memory.run()
        expect(accepted.receivedLength).toBe(200_000)
        accepted.end()
        expectNothingLeft(memory)
      }
    })

    test("is kept for a closed direction whose end answers", () => {
      const memory = bench()
      const { client, accepted } = connected(memory, place, loopback)
      client.end()
      memory.run(3_600_000)
      expect(client.questions).toBeGreaterThan(50)
      accepted.write("at last")
      accepted.end()
      memory.run()
      expect([client.receivedText, client.isEnded]).toEqual(["at last", true])
      expectNothingLeft(memory)
    })

    test("passes resets on, either way", () => {
      for (const breaks of ["client", "accepted"] as const) {
        const memory = bench()
        const ends = connected(memory, place, loopback)
        ends.client.write("x")
        memory.run()
        ends[breaks].reset()
        memory.run()
        expect(ends[breaks === "client" ? "accepted" : "client"].isReset).toBe(true)
        expectNothingLeft(memory)
      }
    })

    test("is reset if nobody listens at the other end, or it can't be reached", () => {
      for (const outcome of ["refuse", "noRoute"] as const) {
        const memory = bench()
        const [from, to] = place === host ? [memory.sockets, memory.namespace] : [memory.namespace, memory.sockets]
        if (outcome === "noRoute") to.world.route(place === host ? guest : loopback, { tcp: outcome })
        listen(memory, place)
        const client = from.world.connect({ address: loopback, port: 5000 }, { address: loopback, port: 8080 })
        memory.run()
        expect(client.isReset).toBe(true)
        expect(memory.drops.entries()).toEqual([["tcp: other end of a local connection refused", 1]])
        expectNothingLeft(memory)
      }
    })

    test("sends what the client said before the other end was there", () => {
      const memory = bench({ sockets: { rtt: 20 }, localPath: { namespace: { rtt: 20 } } })
      const [from, to] = place === host ? [memory.sockets, memory.namespace] : [memory.namespace, memory.sockets]
      const server = to.world.listen(80, { acceptDelay: 50 })
      listen(memory, place)
      const client = from.world.connect({ address: loopback, port: 5000 }, { address: loopback, port: 8080 })
      client.write("early")
      client.end()
      memory.run(500)
      expect([server.connection.receivedText, server.connection.isEnded]).toEqual(["early", true])
      server.connection.end()
      memory.run(500)
      expectNothingLeft(memory)
    })

    test("moves much more than fits anywhere, both ways at once, through tiny buffers that take bytes in part", () => {
      const small = { sendBuffer: 3000, receiveBuffer: 2500, faults: { partialSend: 0.3, spuriousEvent: 0.2 } }
      const memory = bench({
        sockets: small,
        localPath: { namespace: small, pipes: { capacity: 700, partialFill: 0.3 } },
      })
      const { client, accepted } = connected(memory, place, loopback)
      const [up, down] = [patternBytes(200_000, 1), patternBytes(150_000, 2)]
      client.write(up)
      accepted.write(down)
      client.end()
      accepted.end()
      expect(memory.runUntil(() => client.isEnded && accepted.isEnded, 600_000)).toBe(true)
      expect(Buffer.from(accepted.received).equals(Buffer.from(up))).toBe(true)
      expect(Buffer.from(client.received).equals(Buffer.from(down))).toBe(true)
      expectNothingLeft(memory)
    })
  })

  test("from the host reaches the namespace at its public address, or at its loopback if that is asked for", () => {
    for (const keepsLoopback of [false, true]) {
      const memory = bench({ rules: { splicing: { ...SPLICING, keepsLoopback }, v4: {}, v6: {} } })
      const { accepted } = connected(memory, host, loopback)
      expect(accepted.hostAddress.toString()).toBe(keepsLoopback ? loopback : guest)
    }
  })

  test("takes the tap if the client is from elsewhere", () => {
    const memory = bench()
    listen(memory, host)
    memory.sockets.world.connect({ address: elsewhere, port: 5000 }, { address: own, port: 8080 })
    memory.run()
    expect(memory.namespace.opened).toBe(0)
    expect(memory.guest.takeAll().map(({ tcp: header }) => header?.flags)).toEqual(["S"])
  })
})

describe("local connections", () => {
  const { loopback } = families.IPv4

  test("hold up a sender whose receiver takes nothing, with no more than a pipe and the sockets' buffers", () => {
    const sizes = { sendBuffer: 10_000, receiveBuffer: 10_000 }
    const memory = bench({ sockets: sizes, localPath: { namespace: sizes, pipes: { capacity: 4000 } } })
    const { client, accepted } = connected(memory, host, loopback)
    accepted.pause()
    const bytes = patternBytes(500_000, 3)
    client.write(bytes)
    memory.run(1000)
    expect(memory.localPath?.pipes.usedPipes).toBe(1)
    accepted.resume()
    memory.run(1000)
    expect(Buffer.from(accepted.received).equals(Buffer.from(bytes))).toBe(true)
    expect(memory.localPath?.pipes.usedPipes).toBe(0)
  })

  test("need few pipes, however many they are", () => {
    const memory = bench({ localPath: { pipes: { most: 2 } } })
    listen(memory, host)
    const server = memory.namespace.world.listen(80)
    const clients = Array.from({ length: 100 }, (_, index) =>
      memory.sockets.world.connect({ address: loopback, port: 6000 + index }, { address: loopback, port: 8080 }),
    )
    memory.run()
    for (const [index, client] of clients.entries()) client.write(`from ${index}`)
    memory.run(50)
    expect(server.connections.map(({ receivedText }) => receivedText).sort()).toEqual(
      clients.map((_, index) => `from ${index}`).sort(),
    )
  })

  test("go on, and end, without any pipe", () => {
    const sizes = { sendBuffer: 2000, receiveBuffer: 2000 }
    const memory = bench({ sockets: sizes, localPath: { namespace: sizes, pipes: { most: 0 } } })
    const { client, accepted } = connected(memory, host, loopback)
    const bytes = patternBytes(50_000, 1)
    client.write(bytes)
    accepted.write("answer")
    memory.run(500)
    client.end()
    accepted.end()
    memory.run(100)
    expect(Buffer.from(accepted.received).equals(Buffer.from(bytes))).toBe(true)
    expect([client.receivedText, client.isEnded, accepted.isEnded]).toEqual(["answer", true, true])
    expectNothingLeft(memory)
  })

  test("deliver what was said before a reset, either way", () => {
    for (const place of [host, splice] as const) {
      const memory = bench()
      const { client, accepted } = connected(memory, place, loopback)
      accepted.write("413 too large")
      accepted.reset()
      memory.run()
      expect([client.receivedText, client.isReset]).toEqual(["413 too large", true])
      expectNothingLeft(memory)
    }
  })

  test("deliver what had come the other way when a sender finds the connection reset", () => {
    const memory = bench()
    const { client, accepted } = connected(memory, host, loopback)
    client.write("more and more")
    accepted.write("enough")
    accepted.reset()
    client.write("of it")
    memory.run()
    expect([client.receivedText, client.isReset]).toEqual(["enough", true])
    expectNothingLeft(memory)
  })

  test("are reset when the stack stops, the table is full, or there are no sockets", () => {
    const memory = bench({ capacity: 1 })
    const { client, accepted } = connected(memory, host, loopback)
    const late = memory.sockets.world.connect({ address: loopback, port: 5001 }, { address: loopback, port: 8080 })
    memory.run()
    expect([late.isReset, client.isReset]).toEqual([true, false])
    memory.stack.abortFlows()
    memory.run()
    expect([client.isReset, accepted.isReset]).toEqual([true, true])
    expectNothingLeft(memory)

    const poor = bench({ localPath: { namespace: { descriptors: 0 } } })
    listen(poor, host)
    const refused = poor.sockets.world.connect({ address: loopback, port: 5000 }, { address: loopback, port: 8080 })
    poor.run()
    expect(refused.isReset).toBe(true)
    // The port pauses: the next connection shall wait, not be reset as well.
    const next = poor.sockets.world.connect({ address: loopback, port: 5001 }, { address: loopback, port: 8080 })
    poor.run(400)
    expect(next.isReset).toBe(false)
    next.reset()
    poor.run(600)
    expectNothingLeft(poor)
  })

  test("go on when their listener is closed", () => {
    const memory = bench()
    const listener = listen(memory, splice)
    const server = memory.sockets.world.listen(80)
    const client = memory.namespace.world.connect({ address: loopback, port: 5000 }, { address: loopback, port: 8080 })
    memory.run()
    memory.stack.unlisten(listener)
    client.write("still there")
    memory.run()
    expect(server.connection.receivedText).toBe("still there")
    const late = memory.namespace.world.connect({ address: loopback, port: 5001 }, { address: loopback, port: 8080 })
    memory.run()
    expect(late.isConnected).toBe(false)
  })
})

test("nothing listens inside where there is no local path", () => {
  const memory = memoryStack([tcp()])
  expect(
    memory.stack.listen(
      IpProtocol.tcp,
      { address: undefined, port: 1, interfaceName: undefined, freebind: false },
      undefined,
      2,
      splice,
    ),
  ).toBe(-Errno.EPROTONOSUPPORT)
})
