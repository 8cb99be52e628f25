import { describe, expect, test } from "vitest"
import { connect, connected, numbers, segments } from "../test-support/bench.ts"

const link = { slowGuest: { bytes: 10_000, interval: Number.POSITIVE_INFINITY, queueBytes: 1 << 20 } }
const host = { receiveBuffer: 4 << 20 }

describe("while the guest's link is congested", () => {
  test("payload stays in the socket, nothing is asked of anybody, and all of it follows", () => {
    const { memory, world, guest } = connected({ ...link, sockets: host, syn: { mss: 1_460, windowScale: 14 } })
    const peeks: number[] = []
    const { peek } = memory.sockets
    memory.sockets.peek = (...parameters) => {
      peeks.push(peek.apply(memory.sockets, parameters))
      return peeks.at(-1) ?? 0
    }
    let received = 0
    memory.guest.onFrame(({ payload }) => {
      received += payload.length
      return false
    })
    world.write(new Uint8Array(2 << 20))
    memory.run()
    expect(memory.slowLink?.isCongested).toBe(true)
    expect(memory.slowLink?.mostWaiting).toBeLessThan(512 << 10)
    expect(memory.slowLink?.refused).toBe(0)
    peeks.length = 0
    memory.run(100)
    world.write("more")
    memory.run(100)
    expect(peeks).toEqual([])
    for (let times = 0; times < 1_000 && received < (2 << 20) + 4; times++) {
      memory.slowLink?.take()
      memory.run()
      for (const frame of segments(memory)) {
        guest.acknowledgement = ((frame.tcp?.sequence ?? 0) + frame.payload.length) >>> 0
      }
      guest.send("A")
    }
    expect(received).toBe((2 << 20) + 4)
  })

  test("no time-out passes, nor soon after", () => {
    const { memory, world, guest } = connected({ ...link, sockets: host })
    const start = guest.acknowledgement
    world.write(new Uint8Array(40_000))
    memory.run(60_000)
    memory.slowLink?.take()
    while (memory.slowLink?.isCongested) {
      memory.slowLink.take()
      memory.run()
    }
    const first = numbers(memory, start)
    expect(new Set(first).size).toBe(first.length)
    memory.run(999)
    expect(numbers(memory, start)).toEqual([])
    memory.run(1)
    memory.slowLink?.take()
    memory.run()
    expect(numbers(memory, start)).toEqual(["A 0+1460"])
  })

  test("connections take turns", () => {
    const { memory, world } = connected({ ...link, sockets: host, syn: { mss: 1_460, windowScale: 14 } })
    const others = [2, 3, 4].map((sourcePort) =>
      connect(memory, { ends: { sourcePort }, syn: { mss: 1_460, windowScale: 14 } }),
    )
    while (memory.slowLink?.isCongested) memory.slowLink.take()
    for (const end of [world, ...others.map((other) => other.world)]) end.write(new Uint8Array(4 << 20))
    memory.run()
    const received = new Map<number, number>()
    memory.guest.onFrame(({ tcp, payload }) => {
      const port = tcp?.targetPort ?? 0
      received.set(port, (received.get(port) ?? 0) + payload.length)
      return true
    })
    for (let times = 0; times < 400; times++) {
      memory.slowLink?.take()
      memory.run()
    }
    const counts = [...received.values()]
    expect(counts).toHaveLength(4)
    expect(Math.min(...counts)).toBeGreaterThan(Math.max(...counts) / 4)
  })
})
