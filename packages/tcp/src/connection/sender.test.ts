import { describe, expect, test } from "vitest"
import { NewReno } from "./new-reno.ts"
import { Phase, Sender } from "./sender.ts"

const MSS = 1_000
/** Just before sequence numbers wrap around. */
const INITIAL = -1_501

/** A sender after the handshake, at time 0. */
function established(window = 1_000_000): Sender {
  const sender = new Sender(() => new NewReno())
  sender.reset()
  sender.begin(INITIAL)
  sender.sentSyn()
  sender.established((INITIAL + 1) | 0)
  sender.setWindow(0, window)
  sender.mssToGuest = MSS
  return sender
}

function send(sender: Sender, bytes: number, now = 0): void {
  sender.seqToGuest = (sender.seqToGuest + bytes) | 0
  sender.sent(now)
}

/** Acknowledges `bytes` more. Returns true if the first segment is sent again. */
function acknowledge(sender: Sender, bytes: number, now = 0): boolean {
  return sender.acknowledged((sender.ackFromGuest + bytes) | 0, true, now)
}

/** Lets the first of `segments` in flight be lost. */
function loseFirst(sender: Sender, segments: number): void {
  send(sender, segments * MSS)
  for (let count = 0; count < 3; count++) acknowledge(sender, 0)
  expect(sender.phase).toBe(Phase.recovering)
}

describe("the room", () => {
  test("is the guest's window, less what is in flight", () => {
    const sender = established(10_000)
    send(sender, 4_000)
    expect(sender.room).toBe(6_000)
    acknowledge(sender, 1_000)
    expect(sender.room).toBe(7_000)
  })

  // RFC 9293 3.8.6.2.1
  test("is silly if it is less than a segment and less than half of the largest window", () => {
    const sender = established(10_000)
    expect(sender.isSilly(500)).toBe(false)
    send(sender, 9_500)
    expect(sender.isSilly(500)).toBe(true)
    expect(sender.isSilly(MSS)).toBe(false)
    const narrow = established(800)
    send(narrow, 200)
    expect(narrow.isSilly(600)).toBe(false)
  })
})

describe("the guest's window", () => {
  // RFC 9293 3.10.7.4
  test("is that of the newest segment", () => {
    const sender = established()
    sender.updateWindow(100, sender.ackFromGuest, 5_000)
    sender.updateWindow(50, sender.ackFromGuest, 9_000)
    expect(sender.windowFromGuest).toBe(5_000)
    sender.updateWindow(100, sender.ackFromGuest, 2_000)
    expect(sender.windowFromGuest).toBe(2_000)
    expect(sender.largestWindowFromGuest).toBe(1_000_000)
  })

  test("is that of an older segment which acknowledges more", () => {
    const sender = established()
    send(sender, MSS)
    sender.updateWindow(100, sender.ackFromGuest, 5_000)
    sender.updateWindow(50, (sender.ackFromGuest + 1) | 0, 9_000)
    expect(sender.windowFromGuest).toBe(9_000)
  })
})

describe("an acknowledgement", () => {
  // RFC 9293 3.10.7.4
  test("of what was never sent is not plausible", () => {
    const sender = established()
    send(sender, MSS)
    expect(sender.isPlausible(sender.seqToGuestHighest)).toBe(true)
    expect(sender.isPlausible((sender.seqToGuestHighest + 1) | 0)).toBe(false)
  })

  // RFC 5961 5.2
  test("older than the largest window is not plausible", () => {
    const sender = established(5_000)
    expect(sender.isPlausible((sender.ackFromGuest - 5_000) | 0)).toBe(true)
    expect(sender.isPlausible((sender.ackFromGuest - 5_001) | 0)).toBe(false)
  })
})

describe("the timer", () => {
  // RFC 6298 5.1
  test("runs from the first segment in flight", () => {
    const sender = established()
    send(sender, MSS, 10)
    send(sender, MSS, 20)
    expect(sender.retransmitAt).toBe(1_010)
  })

  // RFC 6298 5.2
  test("stops when everything is acknowledged, and starts anew when a part is", () => {
    const sender = established()
    send(sender, 2 * MSS)
    acknowledge(sender, MSS, 100)
    expect(sender.retransmitAt).toBe(100 + sender.roundTrip.timeOut)
    acknowledge(sender, MSS, 110)
    expect(sender.retransmitAt).toBe(-1)
  })

  // RFC 6582 3.2
  test("starts anew in recovery with the first partial acknowledgement only, and at the end of recovery", () => {
    const sender = established()
    loseFirst(sender, 20)
    acknowledge(sender, MSS, 100)
    const at = sender.retransmitAt
    expect(at).toBeGreaterThan(1_000)
    acknowledge(sender, MSS, 200)
    expect(sender.retransmitAt).toBe(at)
    send(sender, MSS, 250)
    acknowledge(sender, 18 * MSS, 300)
    expect(sender.retransmitAt).toBe(300 + sender.roundTrip.timeOut)
  })
})

describe("a loss", () => {
  // RFC 5681 3.2
  test("shows in the third duplicate acknowledgement, which sends the first segment again", () => {
    const sender = established()
    send(sender, 10 * MSS)
    expect([0, 0, 0, 0].map((bytes) => acknowledge(sender, bytes))).toEqual([false, false, true, false])
  })

  // RFC 3042 2
  test("is preceded by limited transmit: a segment beyond the congestion window at each of two duplicates", () => {
    const sender = established()
    loseFirst(sender, 20)
    acknowledge(sender, 20 * MSS)
    send(sender, sender.room)
    expect(sender.room).toBe(0)
    acknowledge(sender, 0)
    expect(sender.room).toBe(MSS)
    send(sender, MSS)
    acknowledge(sender, 0)
    expect(sender.room).toBe(MSS)
  })

  // RFC 3042 2
  test("is preceded by no more than the guest's window allows", () => {
    const sender = established(20 * MSS)
    send(sender, 20 * MSS)
    acknowledge(sender, 0)
    expect(sender.room).toBe(0)
  })

  // RFC 5681 3.2
  test("halves what was in flight at the first duplicate, without what limited transmit has sent", () => {
    const sender = established()
    loseFirst(sender, 20)
    acknowledge(sender, 20 * MSS)
    // Ten in flight, and two by limited transmit.
    send(sender, 10 * MSS)
    acknowledge(sender, 0)
    send(sender, MSS)
    acknowledge(sender, 0)
    send(sender, MSS)
    acknowledge(sender, 0)
    acknowledge(sender, 12 * MSS)
    expect(sender.room).toBe(5 * MSS)
  })

  // RFC 5681 3.2
  test("lets new payload go for each further segment that has left the network", () => {
    const sender = established()
    loseFirst(sender, 20)
    // 10 + 3 of the window, and 20 in flight.
    expect(sender.room).toBe(-7 * MSS)
    for (let count = 0; count < 9; count++) acknowledge(sender, 0)
    expect(sender.room).toBe(2 * MSS)
  })

  test("lets no more go than the guest's window allows, however many duplicates there are", () => {
    const sender = established(30 * MSS)
    loseFirst(sender, 20)
    for (let count = 0; count < 10_000; count++) acknowledge(sender, 0)
    expect(sender.room).toBe(10 * MSS)
    acknowledge(sender, 20 * MSS)
    expect(sender.room).toBe(10 * MSS)
  })

  // RFC 6582 3.2
  test("sends the next missing segment again at each partial acknowledgement, until all is acknowledged", () => {
    const sender = established()
    loseFirst(sender, 20)
    expect(acknowledge(sender, 5 * MSS)).toBe(true)
    expect(acknowledge(sender, 5 * MSS)).toBe(true)
    expect(sender.phase).toBe(Phase.recoveringMore)
    expect(acknowledge(sender, 10 * MSS)).toBe(false)
    expect(sender.phase).toBe(Phase.open)
    expect(sender.room).toBe(10 * MSS)
  })

  test("isn't shown by answers to the probe of a shut window, or by segments that change the window", () => {
    const sender = established()
    send(sender, 10 * MSS)
    for (let count = 0; count < 5; count++) expect(sender.acknowledged(sender.ackFromGuest, false, 0)).toBe(false)
    sender.windowFromGuest = 0
    for (let count = 0; count < 5; count++) expect(acknowledge(sender, 0)).toBe(false)
    expect(sender.phase).toBe(Phase.open)
  })
})

describe("a time-out", () => {
  // RFC 6298 5.5
  test("goes back to the first unacknowledged byte, and doubles the next one", () => {
    const sender = established()
    send(sender, 10 * MSS)
    sender.timedOut()
    expect([sender.inFlight, sender.unacknowledged, sender.isBehind]).toEqual([0, 10 * MSS, true])
    expect(sender.roundTrip.timeOut).toBe(2_000)
    expect(sender.room).toBe(MSS)
  })

  // RFC 6582 3.2
  test("makes duplicate acknowledgements meaningless until all is acknowledged that was sent before", () => {
    const sender = established()
    send(sender, 10 * MSS)
    sender.timedOut()
    for (let count = 0; count < 5; count++) expect(acknowledge(sender, 0)).toBe(false)
    acknowledge(sender, 10 * MSS)
    send(sender, 10 * MSS)
    expect([0, 0, 0].map((bytes) => acknowledge(sender, bytes))).toEqual([false, false, true])
  })

  // RFC 5681 3.1
  test("counts as in flight only what was sent since an earlier one", () => {
    const sender = established()
    send(sender, 100 * MSS)
    sender.timedOut()
    send(sender, MSS)
    acknowledge(sender, MSS)
    send(sender, 2 * MSS)
    sender.timedOut()
    send(sender, MSS)
    // Two segments are the threshold.
    acknowledge(sender, 10 * MSS)
    expect(sender.room).toBe(2 * MSS)
  })

  test("of a path that is too narrow leaves no limit of what may be in flight", () => {
    const sender = established()
    send(sender, 10 * MSS)
    sender.mssToGuest = 500
    sender.narrow(0)
    expect(sender.inFlight).toBe(0)
    expect(sender.room).toBe(1_000_000)
    acknowledge(sender, 10 * MSS)
    expect(sender.phase).toBe(Phase.open)
  })
})

describe("a shut window", () => {
  // RFC 9293 3.8.6.1
  test("is probed after the time-out, and then less and less often", () => {
    const sender = established(0)
    expect(sender.waitForWindow(0)).toBe(true)
    const times = [sender.retransmitAt]
    for (let count = 0; count < 3; count++) {
      sender.probed(sender.retransmitAt)
      times.push(sender.retransmitAt)
    }
    expect(times).toEqual([1_000, 3_000, 7_000, 15_000])
  })

  // RFC 9293 3.8.6.1
  test("is no reason to give up while the guest answers", () => {
    const sender = established(0)
    sender.waitForWindow(0)
    expect(sender.isProbedInVain(1_000_000, 1_200_000)).toBe(false)
    expect(sender.isProbedInVain(1_000_000, 1_300_001)).toBe(true)
  })

  // RFC 6582 3.2
  test("makes everything be sent again, and answers to what the guest had before don't mean loss", () => {
    const sender = established()
    send(sender, 10 * MSS)
    sender.windowFromGuest = 0
    sender.goBack()
    sender.windowFromGuest = 10 * MSS
    send(sender, 10 * MSS)
    expect([0, 0, 0].map((bytes) => acknowledge(sender, bytes))).toEqual([false, false, false])
    acknowledge(sender, 10 * MSS)
    expect(sender.phase).toBe(Phase.open)
  })

  test("isn't probed while something is in flight, whose acknowledgement brings the window", () => {
    const sender = established(MSS)
    send(sender, MSS)
    expect(sender.waitForWindow(0)).toBe(false)
  })
})
