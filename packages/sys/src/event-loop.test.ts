import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { MessageChannel } from "node:worker_threads"
import type { ListenerRef, SideRef, SocketEvents } from "@demiflow/core"
import { bytesPerCall } from "@demiflow/testkit"
import { afterEach, describe, expect, it, test } from "vitest"
import { EpollEvent } from "./constants.ts"
import { SystemError } from "./errno.ts"
import { EventLoop, NO_RECEIVER } from "./event-loop.ts"
import { arena, native } from "./test-support.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const scratch = arena.reserve(64)
const open: number[] = []

function eventDescriptor(initial: number): number {
  const descriptor = native.createEvent(initial)
  open.push(descriptor)
  return descriptor
}

function signal(descriptor: number): void {
  arena.words[scratch >> 2] = 1
  arena.words[(scratch >> 2) + 1] = 0
  native.write(descriptor, scratch, 8)
}

function clear(descriptor: number): void {
  native.read(descriptor, scratch + 8, 8)
}

afterEach(() => {
  for (const descriptor of open.splice(0)) native.close(descriptor)
})

/** A receiver of events of sides. */
function receiverOf(fromHost: SocketEvents["fromHost"]): SocketEvents {
  return { fromHost, fromListener: () => expect.unreachable() }
}

test("a turn allocates nothing, whatever the time is and the next deadline", () => {
  const deadlines = new Float64Array([12_345, 3_000_000, Number.POSITIVE_INFINITY])
  let turn = 0
  const loop = new EventLoop(native, arena)
  loop.attach({ nextDeadline: () => deadlines[turn++ % deadlines.length], turn() {} })
  const heap = { collect, used: () => process.memoryUsage().heapUsed }
  expect(bytesPerCall(heap, () => loop.round(0))).toBeLessThan(1)
  loop.close()
})

describe("event loop: descriptors", () => {
  it("delivers events to sides and callbacks", () => {
    const sides: number[] = []
    const loop = new EventLoop(native, arena)
    const receiver = loop.addReceiver(receiverOf((side, events) => sides.push(side, events)))
    const [flow, other] = [eventDescriptor(1), eventDescriptor(1)]
    const reported: number[] = []
    expect(loop.watchFlow(flow, EpollEvent.readable, 12 as SideRef, receiver)).toBe(0)
    loop.watchDescriptor(other, EpollEvent.readable, (events) => reported.push(events))
    loop.round(0)
    expect(sides).toEqual([12, EpollEvent.readable])
    expect(reported).toEqual([EpollEvent.readable])
    loop.close()
  })

  it("delivers those of listeners, however they are numbered", () => {
    const listeners: number[] = []
    const loop = new EventLoop(native, arena)
    const receiver = loop.addReceiver({
      fromListener: (listener, events) => listeners.push(listener, events),
      fromHost: () => expect.unreachable(),
    })
    for (const number of [0, 1, 70_000]) {
      const listening = eventDescriptor(1)
      expect(loop.watchListener(listening, EpollEvent.readable, number as ListenerRef, receiver)).toBe(0)
      loop.round(0)
      expect(listeners.splice(0)).toEqual([number, EpollEvent.readable])
      loop.unwatch(listening)
    }
    loop.round(0)
    expect(listeners).toEqual([])
    loop.close()
  })

  it("calls edge-triggered watchers once, others as long as it lasts", () => {
    const sides: number[] = []
    const loop = new EventLoop(native, arena)
    const receiver = loop.addReceiver(receiverOf((side) => sides.push(side)))
    loop.watchFlow(eventDescriptor(1), EpollEvent.readable | EpollEvent.edgeTriggered, 1 as SideRef, receiver)
    loop.watchFlow(eventDescriptor(1), EpollEvent.readable, 2 as SideRef, receiver)
    loop.round(0)
    loop.round(0)
    expect(sides.sort()).toEqual([1, 2, 2])
    loop.close()
  })

  it("takes no more memory for descriptors of flows that are forgotten", () => {
    const high = 15_000
    const loops: EventLoop[] = []
    let least = Number.POSITIVE_INFINITY
    // Other code may allocate meanwhile, so the lowest of a few counts decides.
    for (let attempt = 0; attempt < 5; attempt++) {
      const loop = new EventLoop(native, arena)
      // The descriptor isn't open, yet the tables have room for it.
      expect(loop.watchFlow(high, EpollEvent.readable, 1 as SideRef, NO_RECEIVER)).toBeLessThan(0)
      collect()
      const before = process.memoryUsage().heapUsed
      for (let descriptor = high; descriptor > 100; descriptor--) loop.forget(descriptor)
      collect()
      least = Math.min(least, process.memoryUsage().heapUsed - before)
      loops.push(loop)
    }
    for (const loop of loops) loop.close()
    expect(least).toBeLessThan(50_000)
  })

  it("does not deliver an event that was gathered before its descriptor was unwatched or closed", () => {
    const loop = new EventLoop(native, arena)
    const [first, second] = [eventDescriptor(1), eventDescriptor(1)]
    const reported: string[] = []
    const watch = (descriptor: number, name: string, other: number) => {
      loop.watchDescriptor(descriptor, EpollEvent.readable, () => {
        reported.push(name)
        loop.unwatch(other)
      })
    }
    watch(first, "first", second)
    watch(second, "second", first)
    loop.round(0)
    expect(reported).toHaveLength(1)
    loop.close()
  })

  it("does not deliver it to the next one with the same number either", () => {
    const loop = new EventLoop(native, arena)
    const descriptors = [eventDescriptor(1), eventDescriptor(1)]
    const reported: string[] = []
    for (const descriptor of descriptors) {
      loop.watchDescriptor(descriptor, EpollEvent.readable, () => {
        reported.push("old")
        const other = descriptors.find((each) => each !== descriptor) as number
        loop.forget(other)
        native.close(other)
        const next = native.createEvent(0)
        expect(next).toBe(other)
        loop.watchDescriptor(next, EpollEvent.readable, () => reported.push("new"))
      })
    }
    loop.round(0)
    expect(reported).toEqual(["old"])
    loop.close()
  })

  it("takes descriptors beyond its first tables, and refuses what is none", () => {
    const loop = new EventLoop(native, arena)
    const high = native.fileControl(eventDescriptor(1), 1030, 3000)
    open.push(high)
    let reported = 0
    loop.watchDescriptor(high, EpollEvent.readable, () => {
      reported += 1
    })
    loop.round(0)
    expect(reported).toBe(1)
    expect(() => loop.watchDescriptor(900_000, EpollEvent.readable, () => {})).toThrow(SystemError)
    expect(loop.watchFlow(1 << 20, EpollEvent.readable, 1 as SideRef, NO_RECEIVER)).toBeLessThan(0)
    loop.close()
  })

  it("changes what is reported", () => {
    const sides: number[] = []
    const loop = new EventLoop(native, arena)
    const descriptor = eventDescriptor(1)
    const receiver = loop.addReceiver(receiverOf((_side, events) => sides.push(events)))
    loop.watchFlow(descriptor, EpollEvent.readable, 1 as SideRef, receiver)
    expect(loop.modify(descriptor, EpollEvent.writable)).toBe(0)
    loop.round(0)
    expect(sides).toEqual([EpollEvent.writable])
    loop.close()
  })

  it("delivers all events, then gives each stack a turn, once a round", () => {
    const calls: string[] = []
    const loop = new EventLoop(native, arena)
    const receiver = loop.addReceiver(receiverOf((side) => calls.push(`event of ${side}`)))
    const driven = ["first", "second"].map((name) => ({ nextDeadline: () => 0, turn: () => calls.push(name) }))
    for (const each of driven) loop.attach(each)
    const descriptor = eventDescriptor(1)
    loop.watchFlow(descriptor, EpollEvent.readable, 1 as SideRef, receiver)
    loop.watchReadable(eventDescriptor(1), () => calls.push("readable"))
    loop.round(0)
    expect(calls.splice(0).sort()).toEqual(["event of 1", "first", "readable", "second"])
    loop.unwatch(descriptor)
    loop.detach(driven[0])
    loop.round(0)
    expect(calls).toEqual(["readable", "second"])
    loop.close()
  })

  it("distinguishes sides with one number by their receivers, and loses the events of those that are gone", () => {
    const calls: string[] = []
    const loop = new EventLoop(native, arena)
    const receivers = ["a", "b"].map((name) => loop.addReceiver(receiverOf((side) => calls.push(`${name}${side}`))))
    for (const receiver of receivers) loop.watchFlow(eventDescriptor(1), EpollEvent.readable, 1 as SideRef, receiver)
    loop.round(0)
    expect(calls.splice(0).sort()).toEqual(["a1", "b1"])
    loop.removeReceiver(receivers[0])
    expect(loop.addReceiver(receiverOf(() => expect.unreachable()))).toBe(receivers[0])
    loop.round(0)
    expect(calls).toEqual(["b1"])
    loop.close()
  })
})

/** Runs a loop until `body` has ended. Returns the number of rounds. */
async function whileRunning(body: (loop: EventLoop) => Promise<void>): Promise<number> {
  let rounds = 0
  const loop = new EventLoop(native, arena)
  loop.attach({
    nextDeadline: () => Number.POSITIVE_INFINITY,
    turn: () => {
      rounds += 1
    },
  })
  const ended = loop.run()
  try {
    await body(loop)
  } finally {
    loop.stop()
    await ended
    loop.close()
  }
  return rounds
}

const delay = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

describe("event loop: libuv as a guest", () => {
  it("runs timers of the runtime, and does not turn idly meanwhile", async () => {
    const rounds: number[] = []
    for (let time = 0; time < 3; time++) rounds.push(await whileRunning(() => delay(200)))
    // About ten. The test runner may send its workers more messages meanwhile, but not each time. A loop that doesn't
    // block takes many thousands.
    expect(Math.min(...rounds)).toBeLessThan(500)
  })

  it("runs immediates, promises and ticks that follow each other", async () => {
    await whileRunning(async () => {
      for (let index = 0; index < 20; index++) {
        await new Promise((resolve) => setImmediate(resolve))
        await new Promise<void>((resolve) => process.nextTick(resolve))
      }
    })
  })

  it("runs the thread pool and message ports", async () => {
    await whileRunning(async () => {
      expect((await readFile("/proc/self/stat", "utf8")).length).toBeGreaterThan(0)
      const { port1, port2 } = new MessageChannel()
      const message = once(port2, "message")
      port1.postMessage("hello")
      expect((await message)[0]).toBe("hello")
      port1.close()
    })
  })

  it("notices sockets that were opened in callbacks of every phase of libuv", async () => {
    const roundTrip = async () => {
      const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1")
      await once(server, "listening")
      const client = connect((server.address() as { port: number }).port, "127.0.0.1")
      const [chunk] = await once(client, "data")
      expect(String(chunk)).toBe("hello")
      client.destroy()
      server.close()
      await once(server, "close")
    }
    await whileRunning(async () => {
      await roundTrip()
      await delay(1)
      await roundTrip()
      await new Promise((resolve) => setImmediate(resolve))
      await roundTrip()
      await readFile("/proc/self/stat")
      await roundTrip()
    })
  })

  it("runs what a callback of its own started, after a request for a turn", async () => {
    const descriptor = eventDescriptor(0)
    await whileRunning(async (loop) => {
      const content = new Promise<string>((resolve, reject) => {
        loop.watchDescriptor(descriptor, EpollEvent.readable, () => {
          clear(descriptor)
          readFile("/proc/self/stat", "utf8").then(resolve, reject)
          loop.requestTurn()
        })
      })
      signal(descriptor)
      expect((await content).length).toBeGreaterThan(0)
    })
  })

  it("runs timers and immediates started in a callback of its own without being asked", async () => {
    const descriptor = eventDescriptor(0)
    await whileRunning(async (loop) => {
      const done = new Promise<void>((resolve) => {
        loop.watchDescriptor(descriptor, EpollEvent.readable, () => {
          clear(descriptor)
          setTimeout(() => setImmediate(resolve), 5)
        })
      })
      signal(descriptor)
      await done
    })
  })

  it("keeps giving libuv turns while its own events never end", async () => {
    const descriptor = eventDescriptor(1)
    await whileRunning(async (loop) => {
      loop.watchDescriptor(descriptor, EpollEvent.readable, () => {})
      await delay(5)
      expect((await readFile("/proc/self/stat", "utf8")).length).toBeGreaterThan(0)
    })
  })

  it("wakes up for its own deadline", async () => {
    let deadline = Number.POSITIVE_INFINITY
    const loop = new EventLoop(native, arena)
    loop.attach({
      nextDeadline: () => deadline,
      turn: () => {
        if (loop.clock.now < deadline) return
        deadline = Number.POSITIVE_INFINITY
        loop.stop()
      },
    })
    deadline = loop.clock.advance() + 20
    await loop.run()
    expect(deadline).toBe(Number.POSITIVE_INFINITY)
    loop.close()
  })

  it("ends with the error that a callback throws, and can run again", async () => {
    const loop = new EventLoop(native, arena)
    const descriptor = eventDescriptor(1)
    loop.watchDescriptor(descriptor, EpollEvent.readable, () => {
      throw new Error("from a callback")
    })
    await expect(loop.run()).rejects.toThrow("from a callback")
    loop.unwatch(descriptor)
    const again = loop.run()
    expect(() => loop.run()).toThrow("runs already")
    setTimeout(() => loop.stop(), 1)
    await again
    loop.close()
  })
})
