import { check } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { bench, connect, PORT, SERVER, SERVER_V6, scripted, segments } from "../test-support/bench.ts"

const families = {
  IPv4: { server: SERVER, other: "198.51.100.8", guests: ["192.0.2.2", "192.0.2.77", "203.0.113.9"] },
  IPv6: { server: SERVER_V6, other: "2001:db8:1::8", guests: ["2001:db8::2", "2001:db8::77", "fe80::2"] },
}

describe.each(Object.entries(families))(
  "the nine points of docs/addresses.md, TCP over %s",
  (_, { server, other, guests }) => {
    test("1. two guest addresses are two sequences, never combined: with the same ports they are two connections", () => {
      const memory = bench()
      const connections = guests.map((source) => connect(memory, { ends: { source, target: server } }))
      expect(memory.flows.size).toBe(guests.length)
      // In one batch, by turns.
      for (const letter of "abc") for (const { guest } of connections) guest.send("A", letter + guest.source)
      memory.run(1)
      for (const { world, guest } of connections) {
        expect(world.receivedText).toBe([..."abc"].map((letter) => letter + guest.source).join(""))
      }
    })

    test("2. Every protocol handler gets the source address of the packets it is handed.", () => {
      const memory = bench()
      for (const source of guests) {
        const guest = scripted(memory, { source, target: server, port: PORT + 1 })
        guest.send("A", "to nobody")
        memory.guest.expect(check.ip({ source: server, target: source }), check.tcp({ flags: "R" }))
      }
    })

    test("5. The destination of every packet to the guest is filled in per packet, IPv4 and IPv6 alike.", () => {
      const memory = bench()
      const connections = guests.map((source) => connect(memory, { ends: { source, target: server } }))
      // All of them leave in one turn.
      for (const { world, guest } of connections) world.write(`for ${guest.source}`)
      for (const { guest } of connections) guest.expect(check.payload(`for ${guest.source}`))
      memory.guest.expectNothing()
    })

    test("6. Each connection tracks the guest's own address (the tap-side correspondent)… A guest may use many addresses at once.", () => {
      const memory = bench()
      const connections = guests.map((source) => connect(memory, { ends: { source, target: server } }))
      // The address seen last is the last one's. Even so, unsolicited segments go to each connection's own.
      for (const { guest, world } of connections) {
        world.write("hello")
        guest.expect(check.payload("hello"))
        memory.run(1_000)
        guest.expect(check.payload("hello"))
        guest.send("A")
        world.end()
        guest.expect(check.tcp({ flags: "AF" }))
        guest.send("A")
      }
      memory.run(7_200_000)
      // Each is probed more than once, while it is silent.
      const asked = new Set(segments(memory).map(({ ip }) => String(ip?.target)))
      expect([...asked].sort()).toEqual([...guests].sort())
      for (const { guest, world } of connections) {
        world.reset()
        guest.expect(check.tcp({ flags: "RA" }))
      }
      expect(memory.leftovers()).toEqual([])
    })

    test("7. `Demiflow` is one type for all protocols: one guest's port to two servers is two connections", () => {
      const memory = bench()
      const ends = [server, other].map((target) => connect(memory, { ends: { target } }))
      for (const { guest } of ends) guest.send("A", `to ${guest.target}`)
      memory.run(1)
      for (const { world, guest } of ends) expect(world.receivedText).toBe(`to ${guest.target}`)
    })
  },
)
