/** Rings that start, stop, are disabled, polled and full. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { native, number64, pair32 } from "./test-support/front-end.ts"
import { eventCount, openEvent, signal } from "./test-support/guest.ts"
import { batchOf, F, Machine, numberedFrame, R, USUAL } from "./test-support/machine.ts"

const NO_DESCRIPTOR = 0x100
let machine: Machine

beforeEach(() => {
  machine = new Machine()
})
afterEach(() => {
  machine.close()
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe("rings", () => {
  it.each([
    [0, 1],
    [1, 0],
  ])("stop in any order, and start again where they were: %i, %i", (...order) => {
    machine.start()
    for (let round = 1; round < 4; round++) {
      machine.expectTraffic(round)
      machine.events.length = 0
      expect(machine.stop(order)).toEqual([round, round])
      expect(machine.events).toEqual(["stopped"])
      expect(machine.stop(order)).toEqual([round, round])
      expect(machine.link.isCongested).toBe(true)
      for (const index of order) machine.startRing(index, round)
      expect(machine.events).toEqual(["stopped", "ready", "resume"])
      expect(machine.link.isCongested).toBe(false)
    }
  })

  it("have the base that the front end has set before they run", () => {
    machine.agree()
    machine.socket.send(R.SET_VRING_BASE, pair32(1, 65_535))
    expect(machine.stop()).toEqual([0, 65_535])
    machine.share()
    machine.toGuest.reset()
    machine.fromGuest.reset(65_535)
    machine.startRing(0)
    machine.startRing(1, 65_535)
    for (const index of [0, 1]) machine.enable(index)
    machine.expectTraffic(1)
    machine.expectTraffic(2)
    expect(machine.stop()).toEqual([2, 1])
  })

  it("that run keep their size and their base", () => {
    machine.start()
    expect(machine.outcome(R.SET_VRING_NUM, pair32(0, 128))).not.toBe(0n)
    expect(machine.outcome(R.SET_VRING_BASE, pair32(1, 5))).not.toBe(0n)
    machine.expectTraffic(1)
  })

  it("outside of memory don't start", () => {
    machine.agree()
    machine.share()
    machine.socket.send(R.SET_VRING_NUM, pair32(0, 64))
    const addresses = machine.addresses(0)
    addresses.writeBigUInt64LE(1n, 8)
    machine.socket.send(R.SET_VRING_ADDR, addresses)
    expect(machine.outcome(R.SET_VRING_KICK, number64(0), [machine.toGuest.kick])).not.toBe(0n)
    expect(machine.outcome(R.SET_VRING_ADDR, machine.addresses(0))).toBe(0n)
  })

  it("don't run without a kick", () => {
    machine.agree()
    machine.share()
    for (const index of [0, 1]) {
      machine.socket.send(R.SET_VRING_NUM, pair32(index, 64))
      machine.socket.send(R.SET_VRING_ADDR, machine.addresses(index))
      machine.enable(index)
    }
    expect(machine.backEnd.isReady).toBe(false)
  })

  it("notify by the descriptors that were set last", () => {
    machine.start()
    const [kick, call] = [openEvent(), openEvent()]
    machine.socket.send(R.SET_VRING_CALL, number64(1), [call])
    machine.socket.send(R.SET_VRING_KICK, number64(1), [kick])
    machine.turn()
    // What came before may have been reported by the last one.
    expect(eventCount(call)).toBe(1)
    machine.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(12), numberedFrame(1, 60)]))
    machine.fromGuest.notify()
    machine.turn()
    expect(machine.received).toEqual([])
    signal(kick)
    machine.turn()
    expect(machine.received).toEqual([numberedFrame(1, 60)])
    expect([eventCount(call), eventCount(machine.fromGuest.call)]).toEqual([1, 0])
    machine.socket.send(R.SET_VRING_CALL, number64(1 | NO_DESCRIPTOR))
    machine.turn()
    machine.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(12), numberedFrame(2, 60)]))
    signal(kick)
    machine.turn()
    expect([machine.received.length, eventCount(call)]).toEqual([2, 0])
    native.close(kick)
    native.close(call)
  })

  it("are polled if no descriptor is for kicks", () => {
    vi.useFakeTimers()
    machine.agree()
    machine.share()
    machine.toGuest.reset()
    machine.fromGuest.reset()
    for (const index of [0, 1]) {
      machine.socket.send(R.SET_VRING_NUM, pair32(index, 64))
      machine.socket.send(R.SET_VRING_ADDR, machine.addresses(index))
      machine.socket.send(R.SET_VRING_KICK, number64(index | NO_DESCRIPTOR))
      machine.enable(index)
    }
    expect(machine.events.at(-1)).toBe("ready")
    machine.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(12), numberedFrame(1, 60)]))
    machine.sendToGuest(numberedFrame(2, 60))
    machine.offerBuffers(1)
    vi.advanceTimersByTime(1)
    machine.turn()
    expect([machine.received, machine.arrived()]).toEqual([[numberedFrame(1, 60)], [numberedFrame(2, 60)]])
    expect(machine.events.at(-1)).toBe("resume")
    machine.stop([0])
    expect(vi.getTimerCount()).toBe(1)
    machine.stop([1])
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe("a ring that is disabled", () => {
  it("takes no frames to the guest, and discards the guest's", () => {
    machine.start()
    machine.enable(1, 0)
    expect(machine.events.at(-1)).toBe("stopped")
    machine.sendFromGuest(numberedFrame(1, 60), numberedFrame(2, 60))
    expect(machine.received).toEqual([])
    expect(machine.drops.get("link: the guest's queue is disabled")).toBe(2)
    machine.enable(1)
    machine.expectTraffic(3)
    machine.enable(0, 0)
    machine.offerBuffers(1)
    machine.sendToGuest(numberedFrame(4, 60))
    expect(machine.arrived()).toEqual([])
    machine.offerBuffers(1)
    machine.enable(0)
    expect(machine.arrived()).toEqual([numberedFrame(4, 60)])
  })

  it("goes on discarding the guest's, with event indices as well", () => {
    machine.start(USUAL | F.EVENT_IDX)
    machine.enable(1, 0)
    for (const number of [1, 2, 3]) machine.sendFromGuest(numberedFrame(number, 60))
    expect(machine.drops.get("link: the guest's queue is disabled")).toBe(3)
    expect(machine.backEnd.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  it("is one that nobody enabled, if features of the protocol were agreed on, and no other", () => {
    machine.start(USUAL & ~F.PROTOCOL_FEATURES)
    machine.expectTraffic(1)
    machine.backEnd.detach()
    machine.socket.close()
    machine.reconnect()
    machine.agree(USUAL)
    machine.share()
    for (const index of [0, 1]) machine.startRing(index, 1)
    expect(machine.backEnd.isReady).toBe(false)
  })

  it("may have been enabled before anything was agreed on", () => {
    for (const index of [0, 1]) machine.enable(index)
    machine.agree()
    machine.share()
    machine.toGuest.reset()
    machine.fromGuest.reset()
    for (const index of [0, 1]) machine.startRing(index)
    machine.expectTraffic(1)
  })
})

describe("a device", () => {
  it("is reset, and keeps its memory", () => {
    machine.start()
    machine.expectTraffic(1)
    expect(machine.outcome(R.RESET_DEVICE)).toBe(0n)
    expect(machine.events.at(-1)).toBe("stopped")
    expect(machine.stop()).toEqual([0, 0])
    machine.socket.send(R.SET_FEATURES, number64(USUAL))
    for (const driver of [machine.toGuest, machine.fromGuest]) driver.reset()
    for (const index of [0, 1]) machine.startRing(index)
    expect(machine.backEnd.isReady).toBe(false)
    for (const index of [0, 1]) machine.enable(index)
    machine.expectTraffic(2)
  })

  it("has a status, by which the guest resets it", () => {
    machine.start()
    expect(machine.askNumber(R.GET_STATUS)).toBe(0n)
    expect(machine.outcome(R.SET_STATUS, number64(15))).toBe(0n)
    expect(machine.askNumber(R.GET_STATUS)).toBe(15n)
    machine.expectTraffic(1)
    machine.socket.send(R.SET_STATUS, number64(0))
    machine.turn()
    expect([machine.events.at(-1), machine.askNumber(R.GET_STATUS)]).toEqual(["stopped", 0n])
    for (const index of [0, 1]) machine.startRing(index, 1)
    expect(machine.events.slice(-2)).toEqual(["ready", "resume"])
  })

  it("whose owner is reset has its rings disabled", () => {
    machine.start()
    machine.socket.send(R.RESET_OWNER)
    machine.turn()
    expect(machine.events.at(-1)).toBe("stopped")
    for (const index of [0, 1]) machine.enable(index)
    machine.expectTraffic(1)
  })

  it("takes an MTU that its link has room for", () => {
    machine.agree()
    for (const mtu of [68, 1_500, 65_520]) expect(machine.outcome(R.NET_SET_MTU, number64(mtu))).toBe(0n)
    for (const mtu of [0, 67, 65_521, 2 ** 40]) expect(machine.outcome(R.NET_SET_MTU, number64(mtu))).not.toBe(0n)
  })
})

describe("frames of the guest", () => {
  it("are handed out in turns, however many wait and whatever a batch takes", () => {
    machine.start()
    const frames = Array.from({ length: 60 }, (_, index) => numberedFrame(index, 1_000))
    for (const frame of frames) machine.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(12), frame]))
    machine.fromGuest.notify()
    machine.turn(8)
    expect(machine.received).toEqual(frames)
    expect(machine.link.isFrameWaiting).toBe(false)
    expect(machine.backEnd.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  it("wait until both rings run", () => {
    machine.agree()
    machine.share()
    machine.toGuest.reset()
    machine.fromGuest.reset()
    machine.startRing(1)
    machine.enable(1)
    machine.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(12), numberedFrame(1, 60)]))
    machine.fromGuest.notify()
    machine.turn()
    expect([machine.received, machine.backEnd.nextDeadline()]).toEqual([[], Number.POSITIVE_INFINITY])
    machine.startRing(0)
    machine.enable(0)
    machine.turn()
    expect(machine.received).toEqual([numberedFrame(1, 60)])
  })

  it("that are longer than any, or have no readable buffer, are counted", () => {
    machine.start()
    machine.fromGuest.describe(0, machine.fromGuest.places.buffers, 70_000, 0, 0)
    machine.fromGuest.describe(1, machine.fromGuest.places.buffers, 100, 2, 0)
    for (const head of [0, 1]) machine.fromGuest.makeAvailable(head)
    machine.fromGuest.notify()
    machine.turn()
    expect(machine.drops.get("link: without a readable buffer, or too long")).toBe(2)
    expect(machine.backEnd.isConnected).toBe(true)
  })
})

describe("an impossible ring", () => {
  const buffers = (): number => machine.fromGuest.places.buffers
  const FAULTS: readonly [string, () => void][] = [
    [
      "its index is further ahead than the ring has entries",
      () => machine.memory.store16(machine.fromGuest.available + 2, 66),
    ],
    ["it names a descriptor outside of its table", () => machine.fromGuest.makeAvailable(64)],
    [
      "a chain of descriptors is longer than the ring",
      () => {
        machine.fromGuest.describe(0, buffers(), 10, 1, 0)
        machine.fromGuest.makeAvailable(0)
      },
    ],
    [
      "a buffer is outside of guest memory",
      () => {
        machine.fromGuest.describe(0, 2 ** 45, 100, 0, 0)
        machine.fromGuest.makeAvailable(0)
      },
    ],
    [
      "a buffer has the wrong direction",
      () => {
        machine.fromGuest.describe(0, buffers(), 10, 3, 1)
        machine.fromGuest.describe(1, buffers(), 10, 0, 0)
        machine.fromGuest.makeAvailable(0)
      },
    ],
    [
      "a table of indirect descriptors is impossible",
      () => {
        machine.fromGuest.describe(0, buffers(), 16, 4, 0)
        machine.fromGuest.makeAvailable(0)
      },
    ],
  ]

  it.each(FAULTS)("ends the connection, with one line: %s", (reason, spoil) => {
    machine.start()
    machine.fromGuest.offerFrame(Buffer.concat([Buffer.alloc(12), numberedFrame(1, 60)]))
    machine.fromGuest.notify()
    machine.turn()
    spoil()
    machine.fromGuest.notify()
    machine.turn()
    expect(machine.received).toEqual([numberedFrame(1, 60)])
    expect(machine.lastEnd).toBe(`ring 1 of the guest can't be used: ${reason}`)
    expect(machine.events.slice(-2)).toEqual(["stopped", "gone"])
    expect([eventCount(machine.fromGuest.error), eventCount(machine.toGuest.error)]).toEqual([1, 0])
    machine.reconnect()
    machine.start()
    machine.expectTraffic(2)
  })

  it("to the guest ends it too, and what waits is lost", () => {
    machine.start()
    machine.toGuest.makeAvailable(99)
    machine.sendToGuest(numberedFrame(1, 60))
    machine.turn()
    expect(machine.lastEnd).toBe("ring 0 of the guest can't be used: it names a descriptor outside of its table")
    expect([eventCount(machine.toGuest.error), machine.link.isCongested]).toEqual([1, false])
    machine.sendToGuest(numberedFrame(2, 60))
    expect(machine.drops.get("link: no guest")).toBeGreaterThan(0)
  })
})

describe("an owner", () => {
  it("may detach the front end in any callback", () => {
    machine.takesFrames = false
    machine.start()
    machine.backEnd.detach()
    machine.backEnd.detach()
    machine.fromGuest.notify()
    machine.turn()
    expect([machine.events.at(-1), machine.link.receive(batchOf([]))]).toEqual(["ready", 0])
    expect(machine.socket.isAtEnd).toBe(true)
  })
})

it("a ring that gets a descriptor for kicks is no longer polled", () => {
  vi.useFakeTimers()
  machine.start()
  machine.socket.send(R.SET_VRING_KICK, number64(1 | NO_DESCRIPTOR))
  machine.turn()
  expect(vi.getTimerCount()).toBe(1)
  machine.socket.send(R.SET_VRING_KICK, number64(1), [machine.fromGuest.kick])
  machine.turn()
  expect(vi.getTimerCount()).toBe(0)
})

it("a ring that fails while notifications are requested ends the connection", () => {
  machine.start()
  vi.spyOn(native, "ringArm").mockReturnValue(-14)
  machine.sendFromGuest(numberedFrame(1, 60))
  expect(machine.ends).toHaveLength(1)
})
