/** Memory that comes, goes, is replaced and logged, also while rings run. */
import { closeSync, readSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { number64, numbers64, pair32 } from "./test-support/front-end.ts"
import { HIGH, LOW, openMemory, PLUGGED, type Region, regionBytes } from "./test-support/guest.ts"
import { batchOf, F, Machine, numberedFrame, R, USUAL } from "./test-support/machine.ts"

let machine: Machine

beforeEach(() => {
  machine = new Machine()
})
afterEach(() => machine.close())

function add(region: Region): bigint {
  return machine.outcome(R.ADD_MEM_REG, Buffer.concat([number64(0), regionBytes(region)]), [machine.memory.file])
}

function remove(region: Region, descriptors: number[] = []): bigint {
  const record = Buffer.concat([number64(0), regionBytes({ ...region, offset: 12_345 })])
  return machine.outcome(R.REM_MEM_REG, record, descriptors)
}

/** Sends frames both ways. */
function expectTraffic(number: number): void {
  machine.received.length = 0
  machine.sendFromGuest(numberedFrame(number, 100))
  expect(machine.received).toEqual([numberedFrame(number, 100)])
  machine.offerBuffers(1)
  machine.link.send(batchOf([numberedFrame(number, 200)]), 0, 1)
  expect(machine.toGuest.collectFrames(true).map((frame) => frame.subarray(12))).toEqual([numberedFrame(number, 200)])
}

/** A frame of the guest whose only buffer is at this address. */
function sendFrom(address: number, frame: Buffer): void {
  machine.memory.write(address, Buffer.concat([Buffer.alloc(12), frame]))
  machine.fromGuest.describe(0, address, 12 + frame.length, 0, 0)
  machine.fromGuest.makeAvailable(0)
  machine.fromGuest.notify()
  machine.turn()
}

describe("memory in slots", () => {
  beforeEach(() => {
    machine.agree()
    expect([add(LOW), add(HIGH)]).toEqual([0n, 0n])
    machine.toGuest.reset()
    machine.fromGuest.reset()
    for (const index of [0, 1]) machine.startRing(index)
    for (const index of [0, 1]) machine.enable(index)
    expect(machine.events.at(-1)).toBe("ready")
  })

  it("is used like a table, and grows while rings run", () => {
    expectTraffic(1)
    expect(add(PLUGGED)).toBe(0n)
    machine.received.length = 0
    sendFrom(PLUGGED.address + PLUGGED.bytes - 112, numberedFrame(2, 100))
    expect(machine.received).toEqual([numberedFrame(2, 100)])
    expect(machine.events.filter((event) => event === "stopped")).toEqual([])
  })

  it("shrinks while rings run", () => {
    add(PLUGGED)
    // Old front ends pass a descriptor, which is of no use.
    expect(remove(PLUGGED, [machine.memory.file])).toBe(0n)
    expectTraffic(3)
    sendFrom(PLUGGED.address, numberedFrame(4, 100))
    expect(machine.lastEnd).toBe("ring 1 of the guest can't be used: a buffer is outside of guest memory")
  })

  it("is refused where it can't be, and the rest goes on", () => {
    expect(add(LOW)).not.toBe(0n)
    expect(add({ ...PLUGGED, bytes: 1 << 30 })).not.toBe(0n)
    expect(add({ ...PLUGGED, address: HIGH.address + 4_096 })).not.toBe(0n)
    expect(remove(PLUGGED)).not.toBe(0n)
    expect(remove({ ...HIGH, bytes: HIGH.bytes / 2 })).not.toBe(0n)
    expectTraffic(5)
  })

  it("that holds a ring stops it", () => {
    expect(remove(LOW)).not.toBe(0n)
    expect(machine.events.slice(-2)).toEqual(["ready", "stopped"])
    expect(add(LOW)).toBe(0n)
    expect(machine.events.slice(-2)).toEqual(["ready", "resume"])
    expectTraffic(6)
  })
})

describe("a memory table", () => {
  it("takes the place of the one before, while rings run", () => {
    machine.start()
    expectTraffic(1)
    machine.share([LOW, HIGH, PLUGGED])
    expectTraffic(2)
    machine.received.length = 0
    sendFrom(PLUGGED.address, numberedFrame(3, 100))
    expect(machine.received).toEqual([numberedFrame(3, 100)])
    expect(machine.events.at(-1)).toBe("ready")
  })

  it("may come after the rings", () => {
    machine.agree()
    machine.toGuest.reset()
    machine.fromGuest.reset()
    machine.socket.send(R.SET_VRING_NUM, pair32(1, 64))
    machine.socket.send(R.SET_VRING_ADDR, machine.addresses(1))
    machine.share()
    machine.startRing(1)
    machine.startRing(0)
    for (const index of [0, 1]) machine.enable(index)
    expectTraffic(1)
  })

  it("may be empty", () => {
    machine.agree()
    expect(machine.outcome(R.SET_MEM_TABLE, pair32(0, 0))).toBe(0n)
  })

  it.each([0, 1])("whose memory is taken away ends the connection, not the process: ring %i", (ring) => {
    machine.start()
    machine.offerBuffers(2)
    machine.memory.truncate(0)
    if (ring === 1) machine.fromGuest.notify()
    else machine.link.send(batchOf([numberedFrame(1, 100)]), 0, 1)
    machine.turn()
    expect(machine.lastEnd).toBe(`ring ${ring} of the guest can't be used: the memory behind it was taken away`)
    expect(machine.events.slice(-2)).toEqual(["stopped", "gone"])
    machine.memory.truncate(4 << 20)
    machine.reconnect()
    machine.start()
    expectTraffic(7)
  })
})

describe("the log of written pages", () => {
  const PAGE = 4_096
  const LOG_BYTES = 256 << 10
  let file: number

  beforeEach(() => {
    file = openMemory(LOG_BYTES + PAGE)
  })
  afterEach(() => closeSync(file))

  function pages(): number[] {
    const bytes = Buffer.alloc(LOG_BYTES)
    readSync(file, bytes, 0, LOG_BYTES, PAGE)
    const found: number[] = []
    for (const [at, byte] of bytes.entries()) {
      for (let bit = 0; bit < 8; bit++) if (((byte >> bit) & 1) === 1) found.push(at * 8 + bit)
    }
    return found
  }

  it("notes what is written to guest memory, from when it is asked to", () => {
    machine.start()
    expectTraffic(1)
    const reply = machine.ask(R.SET_LOG_BASE, numbers64(LOG_BYTES, PAGE), [file])
    expect([reply?.request, reply?.payload]).toEqual([R.SET_LOG_BASE, number64(0)])
    expectTraffic(2)
    expect(pages()).toEqual([])
    machine.socket.send(R.SET_FEATURES, number64(USUAL | F.LOG_ALL))
    machine.turn()
    machine.offerBuffers(1)
    machine.link.send(batchOf([numberedFrame(3, 200)]), 0, 1)
    const buffer = machine.toGuest.places.buffers + 2 * machine.toGuest.places.bufferBytes
    expect(pages()).toEqual([Math.floor(buffer / PAGE)])
    machine.toGuest.collect()
    for (const index of [0, 1]) machine.socket.send(R.SET_VRING_ADDR, machine.addresses(index, 1))
    machine.turn()
    expectTraffic(4)
    const rings = [machine.toGuest.used, machine.fromGuest.used].map((address) => Math.floor(address / PAGE))
    expect(pages()).toEqual(expect.arrayContaining(rings))
    expect(machine.events.filter((event) => event === "stopped")).toEqual([])
  })

  it("outlasts a change of the memory table", () => {
    machine.start(USUAL | F.LOG_ALL)
    machine.ask(R.SET_LOG_BASE, numbers64(LOG_BYTES, PAGE), [file])
    machine.share([LOW, HIGH, PLUGGED])
    expectTraffic(1)
    expect(pages()).toEqual([Math.floor(machine.toGuest.places.buffers / PAGE)])
  })

  it("may be replaced by a longer one", () => {
    machine.start(USUAL | F.LOG_ALL)
    machine.ask(R.SET_LOG_BASE, numbers64(64, 0), [file])
    expectTraffic(1)
    machine.ask(R.SET_LOG_BASE, numbers64(LOG_BYTES, PAGE), [file])
    expectTraffic(2)
    expect(pages()).toEqual([Math.floor(machine.toGuest.places.buffers / PAGE)])
  })
})
