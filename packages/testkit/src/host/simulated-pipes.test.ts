import { Arena, Demiflow, Errno, Interface, NO_PIPE, type SideRef, SocketEvent } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { patternBytes } from "../packets/layer.ts"
import { SeededRandom } from "../seeded-random.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { SimulatedPipes, type SimulatedPipesOptions } from "./simulated-pipes.ts"
import { SimulatedSockets } from "./simulated-sockets.ts"
import type { SimulatedSocketsOptions } from "./simulated-sockets-options.ts"
import { toAddress } from "./world.ts"

const SIDES = { host: 2 as SideRef, namespace: 3 as SideRef }

/** One connection of each of two hosts to a server in its world, and pipes between them. */
function bench(options: SimulatedPipesOptions = {}, namespaceOptions: Partial<SimulatedSocketsOptions> = {}) {
  const clock = new VirtualClock()
  const arena = new Arena(1 << 20)
  const sockets = new SimulatedSockets({ clock, arena })
  const namespace = new SimulatedSockets({ clock, arena, firstDescriptor: 1_000, ...namespaceOptions })
  const connect = (at: SimulatedSockets, side: SideRef) => {
    const server = at.world.listen(80)
    const towards = Demiflow.of(Interface.host, toAddress("0.0.0.0"), 0, toAddress("198.51.100.7"), 80)
    const socket = at.tcpConnect(side, towards)
    clock.advance(20)
    return { socket, connection: server.connection }
  }
  const from = connect(sockets, SIDES.host)
  const to = connect(namespace, SIDES.namespace)
  const pipes = new SimulatedPipes([sockets, namespace], new SeededRandom(5), options)
  return {
    sockets,
    namespace,
    from,
    to,
    pipes,
    /** Bits reported for the side, once `milliseconds` have passed. */
    pass(side: SideRef, milliseconds = 0): number {
      clock.advance(milliseconds)
      let reported = 0
      for (const at of [sockets, namespace]) {
        at.poll((other, events) => {
          if (other === side) reported |= events
        })
      }
      return reported
    },
  }
}

describe("simulated pipes", () => {
  it("carry bytes from a socket of one host to a socket of the other", () => {
    const { sockets, from, to, pipes, pass } = bench()
    const content = patternBytes(1_000)
    from.connection.write(content)
    pass(SIDES.host)
    const pipe = pipes.open()
    expect(pipes.fill(pipe, from.socket)).toBe(1_000)
    expect(sockets.unread(from.socket)).toBe(0)
    expect(pipes.drain(pipe, to.socket, 400)).toBe(400)
    expect(pipes.drain(pipe, to.socket, 600)).toBe(600)
    pass(SIDES.namespace)
    expect(to.connection.received).toEqual(content)
    expect(pipes.openPipes).toBe(1)
    pipes.close(pipe)
    expect([pipes.openPipes, pipes.opened, pipes.violations]).toEqual([0, 1, []])
  })

  it("answer for an empty socket what is to be waited for, the end and errors", () => {
    const { from, pipes, pass } = bench()
    const pipe = pipes.open()
    expect(pipes.fill(pipe, from.socket)).toBe(-Errno.EAGAIN)
    from.connection.end()
    pass(SIDES.host)
    expect(pipes.fill(pipe, from.socket)).toBe(0)
    const other = bench()
    other.from.connection.reset()
    other.pass(SIDES.host)
    expect(other.pipes.fill(other.pipes.open(), other.from.socket)).toBe(-Errno.ECONNRESET)
  })

  it("take no more than their capacity, and hand over no more than there is room for", () => {
    const { from, to, pipes, pass } = bench({ capacity: 100 }, { sendBuffer: 60 })
    from.connection.write(patternBytes(150))
    to.connection.pause()
    pass(SIDES.host)
    const pipe = pipes.open()
    expect(pipes.fill(pipe, from.socket)).toBe(100)
    pass(SIDES.namespace)
    expect(pipes.drain(pipe, to.socket, 100)).toBe(60)
    expect(pass(SIDES.namespace) & SocketEvent.writable).toBe(SocketEvent.writable)
    expect(pipes.drain(pipe, to.socket, 40)).toBe(40)
    expect(pipes.fill(pipe, from.socket)).toBe(50)
  })

  it("keep what a socket without room doesn't take", () => {
    const { from, to, pipes, pass } = bench({}, { sendBuffer: 60, rtt: 10 })
    from.connection.write(patternBytes(100))
    pass(SIDES.host)
    const pipe = pipes.open()
    pipes.fill(pipe, from.socket)
    pass(SIDES.namespace, 20)
    expect(pipes.drain(pipe, to.socket, 100)).toBe(60)
    expect(pipes.drain(pipe, to.socket, 40)).toBe(-Errno.EAGAIN)
    pass(SIDES.namespace, 20)
    expect(pipes.drain(pipe, to.socket, 40)).toBe(40)
    pass(SIDES.namespace, 20)
    expect(to.connection.received).toEqual(patternBytes(100))
  })

  it("take less than they could by chance, and nothing is lost", () => {
    const { from, to, pipes, pass } = bench({ partialFill: 1 })
    from.connection.write(patternBytes(100))
    pass(SIDES.host)
    const pipe = pipes.open()
    let moved = 0
    let calls = 0
    for (let filled = 1; filled > 0; calls++) {
      filled = pipes.fill(pipe, from.socket)
      if (filled > 0) moved += pipes.drain(pipe, to.socket, filled)
    }
    expect(moved).toBe(100)
    expect(calls).toBeGreaterThan(3)
    pass(SIDES.namespace)
    expect(to.connection.received).toEqual(patternBytes(100))
  })

  it("may be as many as there are descriptors for", () => {
    const { pipes } = bench({ most: 1 })
    const pipe = pipes.open()
    expect(pipes.open()).toBe(-Errno.EMFILE)
    pipes.close(pipe)
    expect(pipes.open()).toBeGreaterThanOrEqual(0)
  })

  it("record what must not be done", () => {
    const { sockets, from, to, pipes, pass } = bench()
    from.connection.write("content")
    pass(SIDES.host)
    const pipe = pipes.open()
    expect(pipes.drain(pipe, to.socket, 1)).toBeLessThan(0)
    pipes.fill(pipe, from.socket)
    expect(pipes.fill(pipe, from.socket)).toBeLessThan(0)
    expect(pipes.drain(pipe, to.socket, 8)).toBeLessThan(0)
    pipes.close(pipe)
    pipes.close(pipe)
    pipes.close(NO_PIPE)
    expect(pipes.fill(pipe, from.socket)).toBeLessThan(0)
    expect(pipes.drain(pipe, to.socket, 1)).toBeLessThan(0)
    expect(pipes.violations).toEqual([
      "drain(0): 1 bytes of a pipe that holds 0",
      "fill(0): the pipe is not empty",
      "drain(0): 8 bytes of a pipe that holds 7",
      "close(0): the pipe is not open",
      "close(no pipe): the pipe is not open",
      "fill(0): the pipe is not open",
      "drain(0): the pipe is not open",
    ])
    sockets.close(from.socket)
    expect(pipes.fill(pipes.open(), from.socket)).toBeLessThan(0)
    expect(sockets.violations).toEqual([`fill(${from.socket}): the socket is not open`])
  })
})
