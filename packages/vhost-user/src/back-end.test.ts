import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { isClosed, messageOf } from "./test-support/front-end.ts"
import { eventCount } from "./test-support/guest.ts"
import { batchOf, Machine, numberedFrame, PROTOCOL, R, USUAL } from "./test-support/machine.ts"

let machine: Machine

beforeEach(() => {
  machine = new Machine()
})
afterEach(() => machine.close())

describe("a front end", () => {
  it("agrees, shares memory, starts rings, and frames pass both ways", () => {
    expect(machine.events).toEqual(["connected"])
    machine.start()
    expect(machine.events).toEqual(["connected", "ready"])
    const frames = Array.from({ length: 40 }, (_, index) => numberedFrame(index, 60 + index * 13))
    machine.sendFromGuest(...frames)
    expect(machine.received).toEqual(frames)
    expect(eventCount(machine.fromGuest.call)).toBeGreaterThan(0)

    machine.offerBuffers(8)
    const sent = [numberedFrame(77, 80), numberedFrame(78, 5_000)]
    expect(machine.link.send(batchOf(sent), 0, 2)).toBe(2)
    const arrived = machine.toGuest.collectFrames(true)
    expect(arrived.map((frame) => frame.subarray(12))).toEqual(sent)
    expect(arrived.map((frame) => frame.readUInt16LE(10))).toEqual([1, 3])
    expect(eventCount(machine.toGuest.call)).toBe(1)
  })

  it("goes, and another one comes", () => {
    for (let round = 0; round < 3; round++) {
      machine.events.length = 0
      if (round > 0) machine.reconnect()
      machine.start()
      const own = machine.ownDescriptor
      machine.sendFromGuest(numberedFrame(round, 100))
      machine.socket.close()
      machine.turn()
      expect(machine.events.slice(-3)).toEqual(["ready", "stopped", "gone"])
      expect(machine.lastEnd).toBe("the front end closed the connection")
      expect([machine.backEnd.isConnected, isClosed(own)]).toEqual([false, true])
      expect(machine.received.at(-1)).toEqual(numberedFrame(round, 100))
    }
    machine.reconnect()
  })

  it("is seen to have hung up while messages of it still wait", () => {
    machine.socket.write(Buffer.concat(Array.from({ length: 200 }, () => messageOf(R.SET_OWNER))))
    machine.socket.close()
    machine.turn(1)
    expect([machine.backEnd.isConnected, machine.backEnd.isEnding]).toEqual([true, true])
    machine.turn()
    expect([machine.lastEnd, machine.backEnd.isEnding]).toEqual(["the front end closed the connection", false])
    machine.reconnect()
    expect(machine.backEnd.isEnding).toBe(false)
  })

  it("answers", () => {
    const features = machine.askNumber(R.GET_FEATURES)
    expect(features & USUAL).toBe(USUAL)
    expect(machine.askNumber(R.GET_PROTOCOL_FEATURES)).toBe(PROTOCOL)
    expect(machine.askNumber(R.GET_QUEUE_NUM)).toBe(1n)
    expect(machine.askNumber(R.GET_MAX_MEM_SLOTS)).toBe(512n)
  })
})
