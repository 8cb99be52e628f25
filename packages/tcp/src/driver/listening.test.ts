import {
  Address,
  type Components,
  Errno,
  Interface,
  IpProtocol,
  type ListenerRef,
  NOT_MINE,
  PlaceShare,
  type PlaceShareId,
} from "@demiflow/core"
import { check, occupyFlows, RecordingLog, ScriptedConnection, type WorldConnection } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, type Bench, type BenchOptions, bench, numbers, segments } from "../test-support/bench.ts"

const families = {
  IPv4: {
    own: "192.0.2.1",
    client: "203.0.113.9",
    gateway: "192.0.2.254",
    loopback: "127.0.0.1",
    otherLoopback: "127.0.0.2",
  },
  IPv6: { own: "2001:db8::1", client: "2001:db8:9::9", gateway: "2001:db8::fe", loopback: "::1", otherLoopback: "::1" },
} as const

function listening(options: BenchOptions = {}): Bench & { readonly listener22: ListenerRef } {
  const memory = bench(options)
  const end = { interface: Interface.host, address: undefined, port: 2222, interfaceName: undefined, freebind: false }
  return Object.assign(memory, { listener22: memory.stack.listen(IpProtocol.tcp, end, undefined, 22) })
}

describe.each(Object.entries(families))("a connection that begins on the host, over %s", (name, ends) => {
  const { own, client } = ends
  const headers = name === "IPv4" ? 40 : 60

  const dial = (memory: Bench, port = 5_000): WorldConnection => {
    const world = memory.sockets.world.connect({ address: client, port }, { address: own, port: 2222 })
    memory.run()
    return world
  }

  test("is begun at the guest with our MSS and window scale, and then carries both ways", () => {
    const memory = listening()
    const world = dial(memory)
    world.write("early")
    const guest = ScriptedConnection.fromSyn(
      memory.guest,
      check.ip({ source: client }),
      check.tcp({ sourcePort: 5_000, targetPort: 22, acknowledgement: 0, window: 0xffff }),
      check.tcpOptions({ mss: 1_500 - headers, windowScale: 8, sackPermitted: undefined, timestamps: undefined }),
      check.payloadLength(0),
    )
    memory.run()
    memory.guest.expectNothing()
    guest.send("SA", "", { options: { mss: 1_000, windowScale: 2 } })
    guest.expect(check.payload("early"), check.tcp({ acknowledgement: guest.sequence }))
    guest.send("A", "hello")
    memory.run(2)
    expect(world.receivedText).toBe("hello")
    guest.expectSome(check.tcp({ acknowledgement: guest.sequence }))
    guest.send("FA")
    memory.run()
    world.end()
    memory.run()
    guest.expectSome(check.tcp({ flags: (flags) => flags.includes("F") }))
    guest.send("A")
    memory.run(1_000)
    expect(world.isEnded).toBe(true)
    memory.stack.unlisten(memory.listener22)
    expect(memory.leftovers()).toEqual([])
  })

  test("has the place of a flow that another protocol gives up, where others have all that it may have", () => {
    const memory = listening({ capacity: 16 })
    let given = 0
    const holder = ({ flows, handlerNumber }: Components) => {
      occupyFlows(flows, handlerNumber, 15)
      const givePlace = (share: PlaceShareId) => {
        given += share === PlaceShare.fromOutside ? 1 : 0
        return given === 2
      }
      return { name: "holder", claims: [], fromGuest: () => NOT_MINE, givePlace }
    }
    memory.stack.register(holder)
    expect(dial(memory).isReset).toBe(true)
    dial(memory, 5_001)
    ScriptedConnection.fromSyn(memory.guest, check.tcp({ sourcePort: 5_001 }))
    expect([given, memory.flows.size]).toEqual([2, 16])
  })

  test("without options in the guest's answer has no scaling, and segments as small as the standard says", () => {
    const memory = listening()
    const world = dial(memory)
    const guest = ScriptedConnection.fromSyn(memory.guest)
    guest.window = 1_000
    guest.accept({})
    world.write(new Uint8Array(5_000))
    memory.run()
    const lengths = segments(memory).map(({ payload }) => payload.length)
    expect(lengths[0]).toBe(name === "IPv4" ? 536 : 1_000)
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(1_000)
  })

  test("asks again after 1, 3, 7 and 15 seconds, and is reset after 31", () => {
    const memory = listening()
    const world = dial(memory)
    const times: number[] = []
    const start = memory.clock.now
    memory.guest.onFrame(({ tcp }) => {
      if (tcp?.flags === "S") times.push(memory.clock.now - start)
      return true
    })
    memory.run(30_999)
    expect(world.isReset).toBe(false)
    memory.run(1)
    expect(world.isReset).toBe(true)
    expect(times).toEqual([1_000, 3_000, 7_000, 15_000])
    expect(memory.flows.size).toBe(0)
  })

  test("that the guest refuses is reset; a reset that acknowledges something else is not for it", () => {
    const memory = listening()
    const world = dial(memory)
    const guest = ScriptedConnection.fromSyn(memory.guest)
    const { acknowledgement } = guest
    guest.acknowledgement = after(acknowledgement, 1)
    guest.refuse()
    guest.send("R", "", { sequence: 0 })
    memory.run()
    expect(world.isReset).toBe(false)
    guest.acknowledgement = acknowledgement
    guest.refuse()
    memory.run()
    expect(world.isReset).toBe(true)
    expect(memory.flows.size).toBe(0)
  })

  test("resets an answer to another SYN, and goes on (RFC 9293, section 3.10.7.3)", () => {
    const memory = listening()
    dial(memory)
    const guest = ScriptedConnection.fromSyn(memory.guest)
    const { acknowledgement } = guest
    guest.acknowledgement = after(acknowledgement, 77)
    guest.send("SA", "", { sequence: 1 })
    guest.expect(check.tcp({ flags: "R", sequence: after(acknowledgement, 77) }))
    guest.acknowledgement = acknowledgement
    guest.accept()
    expect(memory.flows.size).toBe(1)
  })

  test("meets the guest's own SYN half-way (RFC 9293, figure 9)", () => {
    const memory = listening()
    const world = dial(memory)
    const guest = ScriptedConnection.fromSyn(memory.guest)
    const { acknowledgement } = guest
    guest.send("S", "", { options: { mss: 1_000 } })
    guest.expect(check.tcp({ flags: "SA", sequence: after(acknowledgement, -1), acknowledgement: guest.sequence }))
    guest.acknowledgement = acknowledgement
    guest.send("A", "hello")
    memory.run(2)
    expect(world.receivedText).toBe("hello")
  })

  test("whose correspondent resets before the guest answers is reset there", () => {
    const memory = listening()
    const world = dial(memory)
    const guest = ScriptedConnection.fromSyn(memory.guest)
    world.reset()
    memory.run()
    guest.expectSome(check.tcp({ flags: "RA", sequence: guest.acknowledgement }))
    expect(memory.flows.size).toBe(0)
  })

  test("whose correspondent has ended before the guest answers brings all that it sent, and the end", () => {
    const memory = listening()
    const world = dial(memory)
    world.write("all")
    world.end()
    memory.run()
    const guest = ScriptedConnection.fromSyn(memory.guest)
    guest.send("SA", "", { options: { mss: 1_000 } })
    guest.expect(check.payload("all"))
    guest.expect(check.tcp({ flags: "FA" }))
    guest.send("A", "answer")
    memory.run(2)
    expect(world.receivedText).toBe("answer")
  })

  test("from the host's loopback comes from the address that stands for it, or is reset if none does", () => {
    const hostLoopback = Address.parse(ends.gateway)
    const memory = listening({ rules: { v4: { hostLoopback }, v6: { hostLoopback } } })
    const from = (address: string, port: number) =>
      memory.sockets.world.connect({ address, port }, { address: ends.loopback, port: 2222 })
    from(ends.loopback, 5_000)
    memory.run()
    memory.guest.expect(check.ip({ source: ends.gateway }), check.tcp({ flags: "S", sourcePort: 5_000 }))
    const none = listening()
    const world = none.sockets.world.connect(
      { address: ends.loopback, port: 1 },
      { address: ends.loopback, port: 2222 },
    )
    none.run()
    expect(world.isReset).toBe(true)
    expect(none.flows.size).toBe(0)
    expect(none.drops.get("forward: source address that the guest can't answer")).toBe(1)
  })

  test("that the guest would take for another one gets another port, if its address is translated anyhow", () => {
    if (ends.otherLoopback === ends.loopback) return
    const hostLoopback = Address.parse(ends.gateway)
    const memory = listening({ rules: { v4: { hostLoopback }, v6: { hostLoopback } } })
    const worlds = [ends.loopback, ends.otherLoopback].map((address) =>
      memory.sockets.world.connect({ address, port: 5_000 }, { address: ends.loopback, port: 2222 }),
    )
    memory.run()
    const [first, second] = segments(memory)
    expect(first.tcp?.sourcePort).toBe(5_000)
    expect(second.tcp?.sourcePort).toBeGreaterThanOrEqual(49_152)
    expect(worlds.map(({ isReset }) => isReset)).toEqual([false, false])
  })

  test("that the guest would take for another one, its address being its own, is reset", () => {
    const memory = listening()
    memory.sockets.world.listen(5_000)
    const guest = new ScriptedConnection(memory.guest, { target: client, port: 5_000, sourcePort: 22 })
    guest.connect()
    const world = dial(memory)
    expect(world.isReset).toBe(true)
    expect(memory.drops.get("tcp: ends that another connection has")).toBe(1)
    expect(memory.flows.size).toBe(1)
  })
})

describe("a port at which TCP listens", () => {
  const { own, client } = families.IPv4
  const crowd = (memory: Bench, count: number): WorldConnection[] =>
    Array.from({ length: count }, (_, index) =>
      memory.sockets.world.connect({ address: client, port: 6_000 + index }, { address: own, port: 2222 }),
    )

  test("that is taken is an error number, and a closed one refuses", () => {
    const memory = listening()
    const end = { interface: Interface.host, address: undefined, port: 2222, interfaceName: undefined, freebind: false }
    expect(memory.stack.listen(IpProtocol.tcp, end, undefined, 1)).toBe(-Errno.EADDRINUSE)
    memory.stack.unlisten(memory.listener22)
    const [world] = crowd(memory, 1)
    memory.run()
    expect(world.failure).toBe("refused")
    expect(memory.leftovers()).toEqual([])
  })

  test("accepts a crowd, a limited number in a turn", () => {
    const memory = listening({ capacity: 8_192, sockets: { backlog: 1_000 } })
    let accepted = 0
    let most = 0
    const { tcpAccept } = memory.sockets
    memory.sockets.tcpAccept = (...parameters) => {
      accepted++
      return tcpAccept.apply(memory.sockets, parameters)
    }
    const { endTurn } = memory.stack
    memory.stack.endTurn = () => {
      most = Math.max(most, accepted)
      accepted = 0
      endTurn.call(memory.stack)
    }
    crowd(memory, 300)
    memory.run()
    expect(memory.flows.size).toBe(300)
    // At the event, and again at the tick.
    expect(most).toBeLessThanOrEqual(2 * 64)
  })

  test("rests while there are no descriptors, says so once a minute, and goes on", () => {
    const log = new RecordingLog("info")
    const memory = listening({ sockets: { descriptors: 3 }, log })
    let calls = 0
    const { tcpAccept } = memory.sockets
    memory.sockets.tcpAccept = (...parameters) => {
      calls++
      return tcpAccept.apply(memory.sockets, parameters)
    }
    const worlds = crowd(memory, 3)
    memory.run()
    expect(memory.flows.size).toBe(2)
    const guests = [0, 1].map(() => ScriptedConnection.fromSyn(memory.guest))
    for (const guest of guests) guest.accept({})
    calls = 0
    memory.run(20_000)
    expect(calls).toBeLessThanOrEqual(40)
    expect(log.messages("warning").filter((text) => text.includes("2222"))).toHaveLength(1)
    expect(memory.drops.get("tcp: no descriptor to accept with")).toBeGreaterThan(1)
    worlds[0].reset()
    memory.run(500)
    expect(memory.flows.size).toBe(2)
    expect(memory.sockets.violations).toEqual([])
  })

  test("has what the guest doesn't answer give way to the next, after a second", () => {
    const memory = listening({ sockets: { descriptors: 3 } })
    const worlds = crowd(memory, 3)
    memory.run(900)
    expect(worlds.map(({ isReset }) => isReset)).toEqual([false, false, false])
    memory.run(1_100)
    expect(worlds.map(({ isReset }) => isReset)).toEqual([true, false, false])
    const tuples = segments(memory).map(({ tcp }) => [tcp?.flags, tcp?.sourcePort])
    expect(tuples).toContainEqual(["RA", 6_000])
    expect(tuples).toContainEqual(["S", 6_002])
  })

  test("leaves a crowd in the kernel's queue that the guest doesn't answer", () => {
    const memory = listening({ capacity: 512, sockets: { backlog: 1_000 } })
    crowd(memory, 100)
    memory.run(500)
    // Of the 64 that may be half open, half are left for other ports.
    expect(memory.flows.size).toBe(32)
  })

  describe("beside another one at which the guest doesn't answer", () => {
    const dial = (memory: Bench, port: number, count = 1): WorldConnection[] =>
      Array.from({ length: count }, (_, index) =>
        memory.sockets.world.connect({ address: client, port: 6_000 + index }, { address: own, port }),
      )
    const beside = () => {
      const memory = listening({ capacity: 512, sockets: { backlog: 1_000 } })
      const end = {
        interface: Interface.host,
        address: undefined,
        port: 2223,
        interfaceName: undefined,
        freebind: false,
      }
      memory.stack.listen(IpProtocol.tcp, end, undefined, 23)
      return memory
    }
    const answered = (memory: Bench) =>
      segments(memory).filter(({ tcp }) => tcp?.flags === "S" && tcp.targetPort === 23)

    test("accepts at once", () => {
      const memory = beside()
      dial(memory, 2222, 100)
      memory.run(10)
      memory.guest.takeAll()
      dial(memory, 2223)
      memory.run()
      expect(answered(memory)).toHaveLength(1)
    })

    test("keeps its own connections, however many come to that one", () => {
      const memory = beside()
      const [slow] = dial(memory, 2223)
      dial(memory, 2222, 200)
      memory.run(5_000)
      expect(memory.drops.get("tcp: too many half-open connections")).toBeGreaterThan(0)
      expect(slow.isReset).toBe(false)
    })

    test("accepts connections while the oldest ones of both give way", () => {
      const memory = beside()
      dial(memory, 2222, 400)
      dial(memory, 2223, 400)
      memory.run(1_000)
      memory.guest.takeAll()
      memory.run(1_000)
      expect(answered(memory).length).toBeGreaterThan(16)
    })
  })

  test("resets who comes when there is no place for a flow", () => {
    const memory = listening({ capacity: 1 })
    const worlds = crowd(memory, 2)
    memory.run()
    expect(worlds.map(({ isReset }) => isReset)).toEqual([false, true])
  })

  test("goes on listening when the guest goes; who waits for it is reset", () => {
    const memory = listening()
    const [first] = crowd(memory, 1)
    memory.run()
    memory.stack.stop()
    memory.run()
    expect(first.isReset).toBe(true)
    memory.stack.start()
    memory.guest.takeAll()
    const world = memory.sockets.world.connect({ address: client, port: 7 }, { address: own, port: 2222 })
    memory.run()
    const guest = ScriptedConnection.fromSyn(memory.guest)
    guest.accept()
    expect(world.isReset).toBe(false)
  })

  test("has a correspondent's port again at once, what was before being over for both", () => {
    const memory = listening()
    const [first] = crowd(memory, 1)
    memory.run()
    const guest = ScriptedConnection.fromSyn(memory.guest)
    guest.accept()
    guest.send("FA")
    memory.run()
    first.end()
    memory.run()
    guest.expectSome(check.tcp({ flags: "FA" }))
    // The guest's last acknowledgement is lost.
    const [second] = crowd(memory, 1)
    memory.run()
    expect(segments(memory).at(-1)?.tcp).toMatchObject({ flags: "S", sourcePort: 6_000 })
    expect(second.isReset).toBe(false)
    expect(first.isEnded).toBe(true)
    expect(memory.flows.size).toBe(1)
  })

  test("refuses a correspondent that has its port again before the guest has all of what came before", () => {
    const memory = listening()
    const [first] = crowd(memory, 1)
    memory.run()
    const guest = ScriptedConnection.fromSyn(memory.guest)
    guest.accept()
    guest.send("FA")
    first.write("last words")
    first.end()
    memory.run()
    const [second] = crowd(memory, 1)
    memory.run()
    expect(second.isReset).toBe(true)
    expect(numbers(memory, guest.acknowledgement)).toContain("A 0+10")
  })
})
