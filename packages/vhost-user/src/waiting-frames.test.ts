/** Frames that wait: for buffers of the guest, or while it is paused. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { native, number64 } from "./test-support/front-end.ts"
import { batchOf, F, Machine, numberedFrame, R, USUAL } from "./test-support/machine.ts"

let machine: Machine

beforeEach(() => {
  machine = new Machine()
})
afterEach(() => {
  machine.close()
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe("a guest without buffers", () => {
  it.each([0n, F.EVENT_IDX])("has frames wait, and gets them in order when it has some again", (features) => {
    machine.start(USUAL | features)
    machine.offerBuffers(3)
    const frames = Array.from({ length: 10 }, (_, index) => numberedFrame(index, 2_000 + index * 500))
    machine.sendToGuest(...frames)
    expect(machine.link.isCongested).toBe(true)
    machine.sendToGuest(numberedFrame(10, 60))
    const all: Buffer[] = machine.arrived()
    const event = (): number => machine.memory.load16(machine.toGuest.used + 4 + 8 * 64)
    for (let round = 0; machine.link.isCongested && round < 50; round++) {
      const before = machine.toGuest.availableIndex
      if (features !== 0n) expect(event(), "asks to be notified of the next buffer").toBe(before)
      else expect(machine.toGuest.wantsKick).toBe(true)
      machine.offerBuffers(1)
      machine.toGuest.notify()
      machine.turn(1)
      all.push(...machine.arrived())
    }
    expect(all).toEqual([...frames, numberedFrame(10, 60)])
    expect(machine.events.filter((event) => event === "resume")).toHaveLength(1)
    if (features === 0n) expect(machine.toGuest.wantsKick).toBe(false)
  })

  it("that adds some whenever it is asked to report them gets all frames", () => {
    machine.start(USUAL | F.EVENT_IDX)
    const ringArm = native.ringArm.bind(native)
    vi.spyOn(native, "ringArm").mockImplementation((ring, wanted) => {
      if (wanted === 1 && machine.toGuest.free > 0) machine.toGuest.offerBuffer()
      return ringArm(ring, wanted)
    })
    const frames = Array.from({ length: 40 }, (_, index) => numberedFrame(index, 1_000))
    machine.sendToGuest(...frames)
    expect(machine.backEnd.nextDeadline()).toBe(Number.NEGATIVE_INFINITY)
    machine.turn(8)
    expect(machine.arrived()).toEqual(frames)
    expect([machine.link.isCongested, machine.backEnd.nextDeadline()]).toEqual([false, Number.POSITIVE_INFINITY])
    expect(machine.events.at(-1)).toBe("resume")
  })

  it("keeps frames waiting up to the size of the backlog", () => {
    machine.start()
    const frames = Array.from({ length: 20 }, (_, index) => numberedFrame(index, 20_000))
    const taken = machine.link.send(batchOf(frames), 0, 20)
    expect(taken).toBe(13)
    expect(machine.link.send(batchOf(frames), 0, 1)).toBe(0)
  })

  it("that goes leaves nothing behind for the next one", () => {
    machine.start()
    machine.sendToGuest(numberedFrame(1, 60))
    machine.backEnd.detach()
    machine.socket.close()
    expect(machine.link.isCongested).toBe(false)
    machine.sendToGuest(numberedFrame(2, 60))
    expect(machine.drops.get("link: no guest")).toBe(1)
    machine.reconnect()
    machine.start()
    machine.offerBuffers(4)
    machine.turn()
    expect(machine.arrived()).toEqual([])
  })

  it("that are large enough loses the frame", () => {
    machine.start(USUAL & ~F.MRG_RXBUF)
    machine.offerBuffers(2)
    machine.sendToGuest(numberedFrame(1, 3_000), numberedFrame(2, 60))
    expect(machine.toGuest.collectFrames(false).map((frame) => frame.subarray(12))).toEqual([numberedFrame(2, 60)])
    machine.sendToGuest(numberedFrame(3, 60), numberedFrame(4, 3_000), numberedFrame(5, 60))
    machine.offerBuffers(2)
    machine.toGuest.notify()
    machine.turn()
    expect(machine.drops.get("link: longer than the guest's buffers")).toBe(2)
  })
})

describe("a guest that is paused", () => {
  const frames = [1, 2, 3, 4].map((number) => numberedFrame(number, 60))

  it.each([
    [0, 1],
    [1, 0],
  ])("has frames wait, and gets them when it goes on: %i, %i", (...order) => {
    machine.start(USUAL | F.EVENT_IDX)
    machine.offerBuffers(1)
    machine.sendToGuest(frames[0], frames[1])
    const bases = machine.stop(order)
    machine.sendToGuest(frames[2], frames[3])
    expect(machine.link.isCongested).toBe(true)
    machine.turn()
    expect(machine.backEnd.nextDeadline(), "nothing is done meanwhile").toBe(Number.POSITIVE_INFINITY)
    machine.offerBuffers(3)
    machine.turn()
    expect(machine.events.at(-1)).toBe("stopped")
    machine.socket.send(R.SET_FEATURES, number64(USUAL | F.EVENT_IDX))
    for (const [at, index] of order.entries()) machine.startRing(index, bases[at])
    machine.turn()
    expect(machine.arrived()).toEqual(frames)
    expect(machine.events.slice(-3)).toEqual(["stopped", "ready", "resume"])
    expect([machine.link.isCongested, machine.backEnd.nextDeadline()]).toEqual([false, Number.POSITIVE_INFINITY])
    expect(machine.drops.entries()).toEqual([])
    machine.expectTraffic(5)
  })

  it("has no more frames wait than one that has no buffers", () => {
    machine.start()
    machine.stop()
    const large = Array.from({ length: 20 }, (_, index) => numberedFrame(index, 20_000))
    expect(machine.link.send(batchOf(large), 0, 20)).toBe(13)
    expect(machine.link.send(batchOf(large), 0, 1)).toBe(0)
  })

  it("and comes back with other features gets none of them", () => {
    machine.start()
    machine.stop()
    machine.sendToGuest(frames[0])
    machine.start(USUAL | F.GUEST_CSUM)
    machine.offerBuffers(1)
    machine.turn()
    expect(machine.arrived()).toEqual([])
    expect(machine.events.slice(-2)).toEqual(["ready", "resume"])
    machine.sendToGuest(frames[1])
    expect(machine.arrived()).toEqual([frames[1]])
  })

  it("may go meanwhile", () => {
    machine.start()
    machine.stop()
    machine.sendToGuest(frames[0])
    machine.socket.close()
    machine.turn()
    expect([machine.events.at(-1), machine.link.isCongested]).toEqual(["gone", false])
  })
})

describe("frames that wait for the guest", () => {
  beforeEach(() => {
    machine.start(USUAL | F.EVENT_IDX)
    machine.sendToGuest(numberedFrame(1, 60), numberedFrame(2, 60))
    expect(machine.link.isCongested).toBe(true)
  })

  it("are given once their ring is opened again, without a kick", () => {
    machine.offerBuffers(2)
    machine.socket.send(R.SET_VRING_ADDR, machine.addresses(0))
    machine.turn()
    expect(machine.arrived()).toEqual([numberedFrame(1, 60), numberedFrame(2, 60)])
    expect(machine.events.at(-1)).toBe("resume")
    machine.turn()
    expect(machine.backEnd.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  it("are discarded with what was agreed on, and the owner goes on", () => {
    // The guest has added buffers all the time, and the next turn is to continue.
    const drain = vi.spyOn(native, "ringArm").mockReturnValue(1)
    machine.link.drain()
    drain.mockRestore()
    machine.socket.send(R.SET_FEATURES, number64(USUAL))
    machine.turn()
    expect([machine.link.isCongested, machine.events.at(-1)]).toEqual([false, "resume"])
    expect(machine.backEnd.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
    machine.offerBuffers(1)
    machine.sendToGuest(numberedFrame(3, 60))
    expect(machine.arrived()).toEqual([numberedFrame(3, 60)])
  })
})
