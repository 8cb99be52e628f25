import { check, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { after, type Connected, type ConnectOptions, connected, segments } from "../test-support/bench.ts"

const MSS = 1_460
const SCALE = 6

/** A guest that scales windows, and a host with large buffers. */
function roomy(options: ConnectOptions = {}): Connected {
  return connected({
    sockets: { sendBuffer: 8 << 20, sendBufferSize: 8 << 20, ...options.sockets },
    syn: { mss: MSS, windowScale: SCALE },
    link: { mtu: 1_500, ...options.link },
  })
}

/** Sends bytes from the guest. Returns the window that it is given after `milliseconds`, bytes. */
function windowAfter({ memory, guest }: Connected, bytes: number, milliseconds = 200): number {
  for (let sent = 0; sent < bytes; sent += MSS) guest.send("A", patternBytes(MSS))
  memory.run(milliseconds)
  return (segments(memory).at(-1)?.tcp?.window ?? Number.NaN) << SCALE_OF_OURS
}

/** Shift of our own windows: `OWN_WINDOW_SCALE`. */
const SCALE_OF_OURS = 8

function lose(both: Connected): void {
  const { memory, guest } = both
  const expected = guest.sequence
  guest.send("A", patternBytes(MSS), { sequence: after(expected, MSS) })
  guest.expect(check.tcp({ flags: "A", acknowledgement: expected }))
  guest.send("A", patternBytes(MSS), { sequence: expected })
  guest.sequence = after(expected, 2 * MSS)
  memory.run(1)
  segments(memory)
}

describe("the window of a guest that cuts its segments itself", () => {
  test("is what its queue takes, if the correspondent is near", () => {
    expect(windowAfter(roomy(), 64 * MSS)).toBeCloseTo(256 * MSS, -3)
  })

  test("is half of that once something was lost on the way", () => {
    const both = roomy()
    lose(both)
    expect(windowAfter(both, 256 * MSS)).toBeCloseTo(128 * MSS, -3)
  })

  test("never falls below what keeps everybody busy", () => {
    const both = roomy()
    for (let count = 0; count < 6; count++) {
      lose(both)
      // All that may have been in flight arrives.
      for (let part = 0; part < 9; part++) windowAfter(both, 30 * MSS, 1)
    }
    expect(windowAfter(both, 30 * MSS)).toBeCloseTo(32 * MSS, -3)
  })

  test("is halved once for what is lost of one window, however long it takes to be sent again", () => {
    const both = roomy()
    const { memory, guest } = both
    const expected = guest.sequence
    for (let ahead = 1; ahead < 8; ahead += 2) {
      guest.send("A", patternBytes(MSS), { sequence: after(expected, ahead * MSS) })
      memory.run(50)
    }
    for (let hole = 0; hole < 8; hole += 2)
      guest.send("A", patternBytes(MSS), { sequence: after(expected, hole * MSS) })
    guest.sequence = after(expected, 8 * MSS)
    memory.run(1)
    segments(memory)
    expect(windowAfter(both, 256 * MSS)).toBeCloseTo(128 * MSS, -3)
  })

  test("is the whole one again when nothing was lost for a while", () => {
    const both = roomy()
    lose(both)
    both.memory.run(1_000)
    expect(windowAfter(both, 256 * MSS)).toBeCloseTo(256 * MSS, -3)
  })

  test("is what the host has room for, if the correspondent is far", () => {
    const both = roomy({ sockets: { rtt: 100 } })
    expect(windowAfter(both, 64 * MSS)).toBeGreaterThan(1 << 20)
  })
})

test("a guest whose segments we cut has the whole window", () => {
  const both = roomy({ link: { checksumOffload: true, tcpSegmentation: true } })
  expect(windowAfter(both, 64 * MSS)).toBeGreaterThan(1 << 20)
})
