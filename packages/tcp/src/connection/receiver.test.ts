import { describe, expect, test } from "vitest"
import { Acknowledgement, Receiver } from "./receiver.ts"
import { Segment, TcpFlag } from "./segment.ts"

/** Just before sequence numbers wrap around. */
const INITIAL = -101
const FIRST = -100

function begun(room = 1_000): Receiver {
  const receiver = new Receiver()
  receiver.reset()
  receiver.begin(INITIAL)
  receiver.windowEdgeToGuest = (FIRST + room) | 0
  return receiver
}

function segment(ahead: number, length: number, flags: number = TcpFlag.acknowledgement): Segment {
  return Object.assign(new Segment(), { sequence: (FIRST + ahead) | 0, length, flags })
}

describe("a segment is acceptable", () => {
  // RFC 9293 3.10.7.4
  test.each([
    ["a part before the window", -10, 11, true],
    ["all before it", -10, 10, false],
    ["inside", 0, 1, true],
    ["at its end", 999, 1, true],
    ["a part behind it", 999, 100, true],
    ["all behind it", 1_000, 1, false],
  ])("with payload: %s", (_where, ahead, length, isAcceptable) => {
    expect(begun().isAcceptable(segment(ahead, length))).toBe(isAcceptable)
  })

  // RFC 9293 3.10.7.4
  test.each([
    ["before the window", -1, false],
    ["at its beginning", 0, true],
    ["right behind it", 1_000, true],
    ["further behind", 1_001, false],
  ])("without payload: %s", (_where, ahead, isAcceptable) => {
    expect(begun().isAcceptable(segment(ahead, 0))).toBe(isAcceptable)
  })

  // RFC 9293 3.10.7.4
  test("in a window of 0: only without payload, also behind the byte of a window probe", () => {
    const full = begun(0)
    expect(full.isAcceptable(segment(0, 0))).toBe(true)
    expect(full.isAcceptable(segment(1, 0))).toBe(true)
    expect(full.isAcceptable(segment(0, 1))).toBe(false)
  })

  test("by its FIN alone", () => {
    expect(begun().isAcceptable(segment(-1, 0, TcpFlag.fin))).toBe(false)
    expect(begun().isAcceptable(segment(-1, 1, TcpFlag.fin))).toBe(true)
  })
})

describe("the window", () => {
  // RFC 9293 3.8.6
  test("never ends before a number that was inside it", () => {
    const receiver = begun(1_000)
    expect(receiver.moveEdge(500)).toBe(false)
    expect(receiver.room).toBe(1_000)
    expect(receiver.moveEdge(2_000)).toBe(true)
    expect(receiver.room).toBe(2_000)
  })

  test("shrinks with what is accepted, and is advertised from the acknowledgement on", () => {
    const receiver = begun(1_000)
    receiver.accept(300, 0)
    expect(receiver.room).toBe(700)
    receiver.acknowledge((FIRST + 100) | 0, 0)
    expect(receiver.windowToGuest).toBe(900)
    expect(receiver.advertisedEdge).toBe(receiver.windowEdgeToGuest)
    expect(receiver.isOpen).toBe(true)
  })

  // RFC 7323 2.2
  test("is at most 65,535 where the guest doesn't scale", () => {
    const receiver = begun(1 << 20)
    receiver.acknowledge(FIRST, 0)
    expect(receiver.windowToGuest).toBe(65_535)
    receiver.windowScaleToGuest = 8
    receiver.acknowledge(FIRST, 0)
    expect(receiver.windowToGuest).toBe(1 << 20)
  })

  test("is to be updated after 64 KiB, or where less is left than half of the limit", () => {
    const receiver = begun(1 << 20)
    expect(receiver.isUpdateDue(6 << 20)).toBe(false)
    receiver.accept(64 << 10, 0)
    expect(receiver.isUpdateDue(6 << 20)).toBe(true)
    receiver.updated()
    expect(receiver.isUpdateDue(6 << 20)).toBe(false)
    expect(begun(1_000).isUpdateDue(4_000)).toBe(true)
    expect(begun(3_000).isUpdateDue(4_000)).toBe(false)
  })

  test("is of 256 segments where the guest splits them and the correspondent is near, of half after a loss", () => {
    const receiver = begun()
    expect(receiver.limit(1_000, 0)).toBe(256_000)
    expect(receiver.limit(0, 0)).toBe(6 << 20)
    receiver.noteLoss(0)
    receiver.noteLoss(1)
    expect(receiver.limit(1_000, 1)).toBe(128_000)
    expect(receiver.limit(1_000, 1_001)).toBe(256_000)
    receiver.chooseAcknowledgement(50_000, 1_000)
    expect(receiver.limit(1_000, 1)).toBe(6 << 20)
  })
})

describe("an acknowledgement", () => {
  // RFC 9293 3.8.6.3
  test("of little payload waits where payload may go the other way", () => {
    const receiver = begun(100_000)
    receiver.accept(1_000, 0)
    receiver.request(false)
    expect(receiver.mayDelay(true)).toBe(true)
    expect(receiver.mayDelay(false)).toBe(false)
    receiver.accept(8_000, 0)
    expect(receiver.mayDelay(true)).toBe(false)
  })

  test("that is urgent doesn't wait, even if a further one isn't", () => {
    const receiver = begun()
    receiver.request(true)
    receiver.request(false)
    expect([receiver.due, receiver.mayDelay(true)]).toEqual([Acknowledgement.now, false])
    receiver.acknowledge(FIRST, 0)
    expect(receiver.due).toBe(Acknowledgement.none)
  })

  // RFC 5961 7
  test("as a challenge is sent twice a second at most", () => {
    const receiver = begun()
    expect(receiver.mayChallenge(0)).toBe(true)
    receiver.challenged(0)
    expect(receiver.due).toBe(Acknowledgement.now)
    expect([receiver.mayChallenge(499), receiver.mayChallenge(500)]).toEqual([false, true])
  })

  test("is polled for at a quarter of a far correspondent's round trip, less and less often while it is silent", () => {
    const receiver = begun()
    receiver.chooseAcknowledgement(20_000, 1_000)
    expect(receiver.acknowledgesOnAccept).toBe(false)
    receiver.accept(100, 0)
    expect([0, 80, 8_000, 80_000].map((now) => receiver.pollAt(now) - now)).toEqual([5, 10, 1_000, 1_000])
  })
})
