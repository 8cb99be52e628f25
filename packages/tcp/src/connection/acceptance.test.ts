import { describe, expect, test } from "vitest"
import { Judgement, judge } from "./acceptance.ts"
import { Connection } from "./connection.ts"
import { Segment, TcpFlag } from "./segment.ts"
import { State, type StateId } from "./state.ts"

const { acknowledgement: A, fin: F, reset: R, syn: S } = TcpFlag
/** The guest's initial sequence number, and ours. */
const GUEST = 5_000
const OURS = 90_000

function connection(state: StateId): Connection {
  const made = new Connection()
  made.reset()
  made.sender.begin(OURS)
  if (state !== State.connecting) made.sender.sentSyn()
  if (state === State.synSent) made.receiver.beginUnknown()
  else made.receiver.begin(GUEST)
  if (state > State.synReceived) made.sender.established(OURS + 1)
  made.state = state
  return made
}

interface Fields {
  readonly sequence?: number
  readonly acknowledgement?: number
  readonly length?: number
}

function judgement(state: StateId, flags: number, fields: Fields = {}, isSamePath = true): string | undefined {
  const segment = Object.assign(new Segment(), { sequence: GUEST + 1, acknowledgement: OURS + 1, flags, ...fields })
  const found = judge(connection(state), segment, isSamePath)
  return Object.entries(Judgement).find(([, id]) => id === found)?.[0]
}

describe("while the host's connect is in progress", () => {
  test("the guest's repeated SYN is ignored, another SYN replaces the connection", () => {
    expect(judgement(State.connecting, S, { sequence: GUEST })).toBe("ignore")
    expect(judgement(State.connecting, S, { sequence: GUEST }, false)).toBe("replace")
    expect(judgement(State.connecting, S, { sequence: GUEST + 7 })).toBe("replace")
  })

  test("a reset with the right number ends it", () => {
    expect(judgement(State.connecting, R)).toBe("abort")
    expect(judgement(State.connecting, R, { sequence: GUEST + 2 })).toBe("ignore")
  })

  test("an acknowledgement is refused, anything else ignored", () => {
    expect(judgement(State.connecting, A)).toBe("refuse")
    expect(judgement(State.connecting, F)).toBe("ignore")
  })
})

describe("after our SYN", () => {
  // RFC 9293 3.10.7.3
  test("an acknowledgement of anything else is refused", () => {
    expect(judgement(State.synSent, A, { acknowledgement: OURS })).toBe("refuse")
    expect(judgement(State.synSent, S | A, { acknowledgement: OURS + 2 })).toBe("refuse")
  })

  // RFC 9293 3.10.7.3
  test("a reset counts if it acknowledges the SYN", () => {
    expect(judgement(State.synSent, R | A)).toBe("abort")
    expect(judgement(State.synSent, R)).toBe("ignore")
  })

  // RFC 9293 3.5
  test("the guest's SYN may answer it, or cross it", () => {
    expect(judgement(State.synSent, S | A)).toBe("establishBySyn")
    expect(judgement(State.synSent, S)).toBe("crossedSyn")
    expect(judgement(State.synSent, A)).toBe("ignore")
  })
})

describe("after both SYNs", () => {
  // RFC 9293 3.10.7.4
  test("an acknowledgement of ours establishes the connection, another one is refused", () => {
    expect(judgement(State.synReceived, A)).toBe("establish")
    expect(judgement(State.synReceived, A, { acknowledgement: OURS })).toBe("refuse")
  })

  test("the guest's repeated SYN is answered with ours", () => {
    expect(judgement(State.synReceived, S, { sequence: GUEST })).toBe("repeatSyn")
  })
})

describe("on an established connection", () => {
  // RFC 5961 4.2
  test("a SYN is challenged, whatever its number", () => {
    for (const sequence of [GUEST, GUEST + 1, GUEST + 1_000, GUEST + 1_000_000]) {
      expect(judgement(State.established, S, { sequence })).toBe("challenge")
      expect(judgement(State.established, S | A, { sequence })).toBe("challenge")
    }
  })

  // RFC 5961 3.2
  test("a reset counts with the next number, is challenged inside the window, and ignored elsewhere", () => {
    expect(judgement(State.established, R)).toBe("reset")
    expect(judgement(State.established, R, { sequence: GUEST + 2 })).toBe("challenge")
    expect(judgement(State.established, R, { sequence: GUEST - 1 })).toBe("outsideInSilence")
    expect(judgement(State.established, R, { sequence: GUEST + 1_000_000 })).toBe("outsideInSilence")
  })

  // RFC 9293 3.10.7.4
  test("a segment outside the window is answered, one without ACK dropped", () => {
    expect(judgement(State.established, A, { sequence: GUEST + 1_000_000, length: 1 })).toBe("outside")
    expect(judgement(State.established, 0, { length: 1 })).toBe("ignore")
    expect(judgement(State.established, A, { length: 1 })).toBe("process")
    expect(judgement(State.established, A | F)).toBe("process")
  })

  test("an acknowledgement one number back asks about the correspondent", () => {
    expect(judgement(State.established, A, { sequence: GUEST })).toBe("keepAlive")
    expect(judgement(State.established, A, { sequence: GUEST, length: 1 })).toBe("outside")
  })
})

describe("in TIME-WAIT", () => {
  // RFC 9293 3.6.1
  test("a SYN with a later number begins another connection", () => {
    expect(judgement(State.timeWait, S, { sequence: GUEST + 2 })).toBe("succeed")
    expect(judgement(State.timeWait, S, { sequence: GUEST + 1 })).toBe("challenge")
  })

  // RFC 1337 3
  test("a reset is ignored", () => {
    expect(judgement(State.timeWait, R)).toBe("ignore")
  })
})
