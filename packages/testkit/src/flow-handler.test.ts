import { type Components, Errno } from "@demiflow/core"
import { foundBy, Readable } from "@demiflow/protocol-kit"
import { describe, expect, test } from "vitest"
import { protocolCompliance } from "./compliance/index.ts"
import { build, check, type MemoryStackOptions, memoryStack, payload, RecordingLog } from "./index.ts"
import { IDLE_TIMEOUT, PARCELS, Parcels } from "./test-support/parcels.ts"

const GUEST = "192.0.2.2"
const SERVER = "198.51.100.7"
const OTHER = "198.51.100.8"

// The suite that demiflow's own protocols pass.
describe("a protocol whose flows have sockets of their own", () =>
  protocolCompliance(() => ({
    plugin: (components) => new Parcels(components),
    prepare: ({ sockets }) => sockets.world.echo(7),
    samples: ({ v4, v6, number }) => [
      [build.ip(v4, SERVER, 64, PARCELS), payload(`a parcel of ${number}`)],
      [build.ip(v6, "2001:db8:1::7", 64, PARCELS), payload("another parcel")],
      [build.ip(v4, SERVER, 64, PARCELS), payload("")],
    ],
  })))

/** A stack with the protocol, and servers that answer each parcel with `answers` of their own. */
function bench(options: MemoryStackOptions = {}, answers = 1) {
  const handlers: Parcels[] = []
  const plugin = (components: Components) => {
    const handler = new Parcels(components)
    handlers.push(handler)
    return handler
  }
  const memory = memoryStack([plugin], options)
  const serve = (address: string) =>
    memory.sockets.world.receive({ address, port: 7 }, ({ text, reply }) => {
      for (let number = 0; number < answers; number++) reply(`${text} ${number}`)
    })
  serve(SERVER)
  serve(OTHER)
  const send = (text: string, to = SERVER) => memory.guest.send(build.ip(GUEST, to, 64, PARCELS), payload(text))
  const answer = (from = SERVER) => {
    const { payload: bytes } = memory.guest.expect(check.ip({ source: from, target: GUEST, protocol: PARCELS }))
    return String.fromCharCode(...bytes)
  }
  return { handler: handlers[0], memory, serve, send, answer }
}

describe("a flow handler", () => {
  test("begins a flow with the first packet, and keeps it while it is used", () => {
    const { memory, send, answer } = bench()
    send("one")
    expect(answer()).toBe("one 0")
    memory.run(IDLE_TIMEOUT - 1)
    send("two")
    expect(answer()).toBe("two 0")
    expect(memory.flows.size).toBe(1)
    memory.run(IDLE_TIMEOUT - 1)
    expect(memory.flows.size).toBe(1)
    memory.run(1)
    expect(memory.leftovers()).toEqual([])
  })

  test("reports its flows' answers and totals to observers", () => {
    const lines: unknown[] = []
    const { memory, send } = bench(
      {
        observers: [
          {
            changed: (_flow, state) => lines.push(state),
            closed: (_flow, _end, totals) => lines.push(totals),
          },
        ],
      },
      2,
    )
    send("one")
    send("two")
    memory.run(2 * IDLE_TIMEOUT)
    expect(lines).toEqual(["answered", { packetsFromGuest: 2, packetsToGuest: 4 }])
  })

  test("delivers everything that a socket holds, in order, though a turn has a budget", () => {
    const { memory, send, answer } = bench({}, 100)
    send("many")
    memory.run(10)
    expect(Array.from({ length: 100 }, () => answer())).toEqual(
      Array.from({ length: 100 }, (_, number) => `many ${number}`),
    )
  })

  test("delivers everything to a guest that takes frames slowly, and to one without room", () => {
    for (const options of [
      { slowGuest: { bytes: 100, interval: 5 } },
      { tap: { transmitBytes: 160 << 10, reassemblySlots: 8 } },
    ]) {
      const { memory, send, answer } = bench(options, 60)
      send("much")
      memory.run(1_000)
      expect(Array.from({ length: 60 }, () => answer())).toEqual(
        Array.from({ length: 60 }, (_, number) => `much ${number}`),
      )
      expect(memory.drops.total).toBe(0)
    }
  })

  test("takes a pending error, and carries on with the flow", () => {
    const { memory, handler, serve, send, answer } = bench()
    send("lost", "198.51.100.9")
    memory.run(100)
    expect(handler.errors).toEqual([Errno.ECONNREFUSED])
    serve("198.51.100.9")
    send("found", "198.51.100.9")
    expect(answer("198.51.100.9")).toBe("found 0")
    expect(memory.flows.size).toBe(1)
  })

  test("warns once that sockets are short, and drops what has none", () => {
    const log = new RecordingLog()
    const { memory, send } = bench({ log, sockets: { descriptors: 0 } })
    send("one")
    send("two")
    memory.run(0)
    expect(memory.drops.entries()).toEqual([["parcels: no socket", 2]])
    expect(log.entries.filter(({ message }) => message.includes("no sockets left"))).toHaveLength(1)
    expect(memory.flows.size).toBe(0)
  })

  test("gives up the place of a flow that is idle, and no other", () => {
    // Fifteen of sixteen places are for flows of this kind.
    const { memory, send, answer } = bench({ capacity: 16 })
    for (let number = 0; number < 15; number++) send("a parcel", `198.51.100.${100 + number}`)
    send("too early", OTHER)
    memory.run(0)
    expect(memory.drops.entries()).toEqual([["flow: table full", 1]])
    memory.run(2_000)
    send("in time", OTHER)
    expect(answer(OTHER)).toBe("in time 0")
    expect(memory.flows.size).toBe(15)
  })
})

test("a receiving call has found a packet, nothing, or an error that hides what is behind it", () => {
  expect([foundBy(3), foundBy(0), foundBy(-Errno.EAGAIN), foundBy(-Errno.ECONNREFUSED)]).toEqual([
    Readable.packet,
    Readable.nothing,
    Readable.nothing,
    Readable.other,
  ])
})
