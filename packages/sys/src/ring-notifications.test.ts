import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { RingFlag } from "./ring-constants.ts"
import { Driver, Guest, give, putRecord, type RingOptions, take, usual } from "./ring-test-support.ts"
import { native } from "./test-support.ts"

let guest: Guest
let driver: Driver

beforeEach(() => {
  guest = new Guest()
})

afterEach(() => {
  driver.close()
  guest.close()
})

/** A ring with this number of chains in it. */
function open(options: RingOptions, chains = 0): void {
  driver = new Driver(guest, options)
  offer(chains)
}

function offer(chains = 1): void {
  for (let chain = 0; chain < chains; chain++) driver.offer({ address: 0x20000, length: 10 })
}

describe("notifying the driver without an event index", () => {
  it("happens once a call, if anything was taken", () => {
    open({}, 3)
    take(driver.ring)
    expect(driver.wasNotified()).toBe(true)
    take(driver.ring)
    expect(driver.wasNotified()).toBe(false)
  })

  it("happens when frames are given", () => {
    open({})
    driver.offer({ address: 0x20000, length: 10, flags: 2 })
    give(driver.ring, Buffer.alloc(11))
    expect(driver.wasNotified()).toBe(false)
    give(driver.ring, Buffer.alloc(10))
    expect(driver.wasNotified()).toBe(true)
  })

  it("doesn't happen while the driver forbids it", () => {
    open({}, 1)
    driver.availableFlags = 1
    expect(take(driver.ring)).toHaveLength(1)
    expect(driver.wasNotified()).toBe(false)
    driver.availableFlags = 0
    offer()
    take(driver.ring)
    expect(driver.wasNotified()).toBe(true)
  })

  it("goes to the descriptor that was set last, or to none", () => {
    open({}, 1)
    native.ringNotify(driver.ring, -1)
    expect(take(driver.ring)).toHaveLength(1)
    expect(driver.wasNotified()).toBe(false)
    native.ringNotify(driver.ring, 1_000_000)
    offer()
    expect(take(driver.ring)).toHaveLength(1)
    native.ringNotify(driver.ring, driver.event)
    offer()
    expect(take(driver.ring)).toHaveLength(1)
    expect(driver.wasNotified()).toBe(true)
  })

  it("doesn't wait for an eventfd that is full", () => {
    open({}, 1)
    expect(native.write(driver.event, putRecord(2n ** 64n - 2n), 8)).toBe(8)
    expect(take(driver.ring)).toHaveLength(1)
    expect(driver.wasNotified()).toBe(true)
  })
})

describe("notifying the driver with an event index", () => {
  const options = { flags: RingFlag.eventIndex, entries: 16 }

  /** Takes what there is; true if the driver was notified of it. */
  function takeAll(): boolean {
    take(driver.ring)
    return driver.wasNotified()
  }

  it("happens when the used index passes the one that the driver has stored", () => {
    open(options, 1)
    driver.usedEvent = 4
    expect(takeAll(), "the first time, whatever is stored").toBe(true)
    offer(3)
    expect(takeAll(), "from 1 to 4").toBe(false)
    offer()
    expect(takeAll(), "from 4 to 5").toBe(true)
    offer(5)
    expect(takeAll(), "from 5 to 10").toBe(false)
    driver.usedEvent = 12
    offer(7)
    expect(takeAll(), "from 10 to 17").toBe(true)
  })

  it("doesn't heed the flag", () => {
    open(options, 1)
    takeAll()
    driver.availableFlags = 1
    driver.usedEvent = 1
    offer()
    expect(takeAll()).toBe(true)
  })

  it("is right when indexes go from 65,535 to 0", () => {
    open({ ...options, first: 65_530 }, 1)
    driver.usedEvent = 65_530
    expect(takeAll(), "to 65,531").toBe(true)
    driver.usedEvent = 2
    offer(4)
    expect(takeAll(), "to 65,535").toBe(false)
    offer(3)
    expect(takeAll(), "to 2").toBe(false)
    offer(1)
    expect(takeAll(), "to 3").toBe(true)
    driver.usedEvent = 65_535
    offer(5)
    expect(takeAll(), "to 8").toBe(false)
  })
})

describe("being notified by the driver", () => {
  it("is asked for by the flag, without an event index", () => {
    open({})
    expect(native.ringArm(driver.ring, 0)).toBe(0)
    expect(driver.usedFlags).toBe(1)
    expect(native.ringArm(driver.ring, 1)).toBe(0)
    expect(driver.usedFlags).toBe(0)
  })

  it("is asked for by the index, with one", () => {
    open({ flags: usual, first: 65_535 }, 1)
    expect(native.ringArm(driver.ring, 0)).toBe(0)
    expect(native.ringArm(driver.ring, 1)).toBe(1)
    expect(driver.availableEvent).toBe(65_535)
    take(driver.ring)
    expect(native.ringArm(driver.ring, 1)).toBe(0)
    expect(driver.availableEvent).toBe(0)
    expect(driver.usedFlags).toBe(0)
  })

  it.each([0, usual])("isn't needed for chains that are there already (flags %d)", (flags) => {
    open({ flags }, 1)
    expect(native.ringArm(driver.ring, 0)).toBe(0)
    expect(native.ringArm(driver.ring, 1)).toBe(1)
    take(driver.ring)
    expect(native.ringArm(driver.ring, 1)).toBe(0)
  })

  it("is asked for beyond chains that are too few for a frame", () => {
    const buffer = { address: 0x20000, length: 100, flags: 2 }
    open({ flags: RingFlag.eventIndex, chainsAt: 10, first: 65_534 })
    for (let chain = 0; chain < 3; chain++) driver.offer(buffer)
    expect(give(driver.ring, Buffer.alloc(100), Buffer.alloc(300)).count).toBe(1)
    expect(native.ringArm(driver.ring, 1)).toBe(0)
    expect(driver.availableEvent).toBe(1)
    driver.offer(buffer)
    expect(native.ringArm(driver.ring, 1), "one more").toBe(1)
    expect(give(driver.ring, Buffer.alloc(300)).count).toBe(1)
    expect(native.ringArm(driver.ring, 1)).toBe(0)
    expect(driver.availableEvent).toBe(2)
  })
})
