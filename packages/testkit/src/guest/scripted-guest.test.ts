import { Arena } from "@demiflow/core"
import { memoryLinkPair } from "@demiflow/tap"
import { describe, expect, it } from "vitest"
import { memoryStack } from "../memory-stack.ts"
import * as build from "../packets/build.ts"
import * as check from "../packets/check.ts"
import { payload } from "../packets/layer.ts"
import { mirror } from "../test-support/mirror.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { GuestTcp } from "./guest-tcp.ts"
import { ScriptedConnection } from "./scripted-connection.ts"
import { ScriptedGuest } from "./scripted-guest.ts"

const to = (address: string, text: string) => [build.ip("192.0.2.2", address, 64, 253), payload(text)] as const

describe("ScriptedGuest", () => {
  it("sends frames, and receives what comes back, in order", () => {
    const { guest } = memoryStack([mirror])
    guest.send(...to("198.51.100.7", "first"))
    guest.send(...to("198.51.100.7", "second"))
    guest.expect(check.ip({ source: "198.51.100.7", target: "192.0.2.2" }), check.payload("first"))
    expect(() => guest.expect(check.payload("third"))).toThrow(check.PacketMismatchError)
    guest.expectNothing()
    expect(() => guest.expect()).toThrow("there is no frame")
  })

  it("finds a frame among others, and leaves these", () => {
    const { guest } = memoryStack([mirror])
    for (const text of ["a", "b", "c"]) guest.send(...to("198.51.100.7", text))
    guest.expectSome(check.payload("b"))
    expect(() => guest.expectSome(check.payload("b"))).toThrow("none of 2 frames")
    expect(() => guest.expectNothing()).toThrow("a frame that nobody asked for")
    expect(guest.takeAll().map(({ payload: bytes }) => String.fromCharCode(...bytes))).toEqual(["a", "c"])
  })

  it("hands frames to takers first, the last one before the others", () => {
    const { guest, run } = memoryStack([mirror])
    const seen: string[] = []
    const end = guest.onFrame(() => seen.push("first") > 0)
    guest.onFrame(({ payload: bytes }) => {
      seen.push("second")
      return bytes.length === 1
    })
    guest.send(...to("198.51.100.7", "x"))
    guest.send(...to("198.51.100.7", "xx"))
    run()
    expect(seen).toEqual(["second", "second", "first"])
    end()
    guest.send(...to("198.51.100.7", "xx"))
    guest.expect(check.payload("xx"))
  })

  it("shows what it sends in a trace", () => {
    const { guest } = memoryStack([mirror])
    const sent: string[] = []
    guest.onSend = ({ payload: bytes }) => sent.push(String.fromCharCode(...bytes))
    guest.send(...to("198.51.100.7", "x"))
    expect(sent).toEqual(["x"])
  })

  it("knows its addresses by family", () => {
    const { guest } = memoryStack([], { guest: { addresses: ["10.0.0.1"] } })
    expect(guest.addressFor("198.51.100.7").toString()).toBe("10.0.0.1")
    expect(() => guest.addressV6).toThrow("no address of this family")
  })
})

describe("ScriptedConnection", () => {
  it("takes a connection that the other end begins, or refuses it", () => {
    const clock = new VirtualClock()
    const arena = new Arena(8 << 20)
    const [left, right] = memoryLinkPair(arena, arena)
    const client = new ScriptedGuest(left, { clock, addresses: ["192.0.2.2"] })
    const server = new ScriptedGuest(right, { clock, addresses: ["198.51.100.7"] })
    const tcp = new GuestTcp(client)
    const connection = tcp.connect({ address: "198.51.100.7", port: 80, fromPort: 4_000 })
    const scripted = ScriptedConnection.fromSyn(server, check.tcp({ targetPort: 80 }))
    expect([scripted.source.toString(), scripted.sourcePort]).toEqual(["198.51.100.7", 80])
    expect([scripted.target.toString(), scripted.port]).toEqual(["192.0.2.2", 4_000])
    scripted.accept()
    connection.write("question")
    scripted.expect(check.payload("question"))
    scripted.send("PA", "answer")
    clock.settle()
    expect(connection.receivedText).toBe("answer")

    const other = tcp.connect({ address: "198.51.100.7", port: 81 })
    ScriptedConnection.fromSyn(server, check.tcp({ targetPort: 81 })).refuse()
    clock.settle()
    expect(other.failure).toBe("refused")
  })

  it("drives a connection segment by segment, counting the numbers of both ends", () => {
    // Both ends are guests, on one cable.
    const clock = new VirtualClock()
    const arena = new Arena(8 << 20)
    const [left, right] = memoryLinkPair(arena, arena)
    const client = new ScriptedGuest(left, { clock, addresses: ["192.0.2.2"] })
    const server = new ScriptedGuest(right, { clock, addresses: ["198.51.100.7"] })
    new GuestTcp(server, { acknowledgementDelay: 0 }).listen(80, (accepted) => {
      accepted.onData = () => accepted.write("welcome")
      accepted.onEnd = () => accepted.end()
    })
    const connection = new ScriptedConnection(client, { target: "198.51.100.7", port: 80, sequence: 0xffffffff })
    const answer = connection.connect()
    expect(connection.sequence).toBe(0)
    expect(connection.acknowledgement).toBe(((answer.tcp?.sequence ?? 0) + 1) >>> 0)
    connection.send("PA", "hello")
    expect(connection.sequence).toBe(5)
    connection.expect(check.tcp({ flags: "A", acknowledgement: 5 }))
    const greeting = connection.expect(check.payload("welcome"))
    expect(connection.acknowledgement).toBe(((greeting.tcp?.sequence ?? 0) + 7) >>> 0)
    // A segment out of place is answered, but doesn't advance the expected number.
    connection.send("A", "elsewhere", { sequence: 1_000_000 })
    expect(connection.sequence).toBe(5)
    connection.expectSome(check.tcp({ flags: "A", acknowledgement: 5 }))
    connection.send("FA")
    connection.expectSome(check.tcp({ flags: "FA", acknowledgement: 6 }))
    client.takeAll()
    connection.send("A")
    client.expectNothing()
  })
})
