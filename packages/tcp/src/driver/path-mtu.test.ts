import { Address, Demiflow, Interface, IpProtocol } from "@demiflow/core"
import { check, patternBytes, type ReceivedFrame, sameBytes } from "@demiflow/testkit"
import { beforeEach, describe, expect, test } from "vitest"
import { after, type Connected, connect, connected, numbers, SERVER_V6, segments } from "../test-support/bench.ts"

const TOO_BIG_V4 = { type: 3, code: 4 }
const TOO_BIG_V6 = { type: 2, code: 0 }

/** Reports to the stack that a frame didn't arrive, with changes to the quote. */
type Report = (
  frame: ReceivedFrame,
  mtu: number,
  changes?: { sequence?: number; type?: number; code?: number },
) => boolean

function reporter({ memory }: Connected): Report {
  let report: Report = () => false
  const { arena, stack } = memory
  const quoteOffset = arena.reserve(8)
  stack.register(({ reportGuestError }) => {
    report = ({ ip, tcp }, mtu, changes = {}) => {
      if (ip === undefined || tcp === undefined) throw new Error("no segment")
      const tap = Demiflow.of(Interface.tap, ip.source, tcp.sourcePort, ip.target, tcp.targetPort)
      arena.view.setUint32(quoteOffset + 4, changes.sequence ?? tcp.sequence)
      const form = ip.version === 4 ? TOO_BIG_V4 : TOO_BIG_V6
      return reportGuestError(IpProtocol.tcp, tap, { ...form, ...changes, mtu, quoteOffset, quoteLength: 8 })
    }
    return { name: "reporter", claims: [], fromGuest: () => 0 as never }
  })
  return report
}

/** Returns the lengths of the segments for this many bytes. */
function pieces(bytes: number, mss: number): number[] {
  return Array.from({ length: Math.ceil(bytes / mss) }, (_, index) => Math.min(mss, bytes - index * mss))
}

describe.each([
  { version: 4, ends: {}, guestAddress: "192.0.2.2", headers: 40 },
  { version: 6, ends: { target: SERVER_V6 }, guestAddress: "2001:db8::2", headers: 60 },
])("a segment that is too big for a link behind the guest, over IPv$version", ({ ends, guestAddress, headers }) => {
  let both: Connected
  let report: Report
  let first: number

  beforeEach(() => {
    both = connected({ ends, syn: { mss: 1_440 } })
    report = reporter(both)
    first = both.guest.acknowledgement
  })

  test("comes again at once with all behind it, in smaller ones, and so does what follows", () => {
    const { memory, guest, world } = both
    world.write(patternBytes(5_000))
    const frames = segments(memory)
    expect(frames.map(({ payload }) => payload.length)).toEqual([1_440, 1_440, 1_440, 680])
    const mss = 1_300 - headers
    expect(report(frames[0], 1_300)).toBe(true)
    // The others were too big as well.
    for (const frame of frames.slice(1)) report(frame, 1_300)
    memory.run()
    const again = segments(memory)
    expect(again.map(({ payload }) => payload.length)).toEqual(pieces(5_000, mss))
    expect(sameBytes(Buffer.concat(again.map(({ payload }) => payload)), patternBytes(5_000))).toBe(true)
    guest.acknowledgement = after(first, 5_000)
    guest.send("A")
    world.write(patternBytes(2_000))
    expect(segments(memory).map(({ payload }) => payload.length)).toEqual(pieces(2_000, mss))
  })

  test("is smaller once more behind the next link that takes less", () => {
    const { memory, world } = both
    world.write(patternBytes(1_440))
    report(segments(memory)[0], 1_400)
    report(segments(memory)[0], 1_300)
    expect(segments(memory)[0].payload).toHaveLength(1_300 - headers)
  })

  test("comes again once a turn, however many errors there are, each of them with a smaller MTU", () => {
    const { memory, world } = both
    world.write(patternBytes(50_000))
    const frames = segments(memory)
    for (let mtu = 1_470; mtu > 1_370; mtu--) for (const frame of frames) report(frame, mtu)
    memory.run()
    const again = segments(memory)
    expect(again.reduce((bytes, { payload }) => bytes + payload.length, 0)).toBe(50_000)
  })

  test("is not believed if the number is not of one that is under way, or more is said than fits already", () => {
    const { memory, guest, world } = both
    world.write(patternBytes(3_000))
    const frames = segments(memory)
    expect(report(frames[0], 1_300, { sequence: after(first, -1) })).toBe(false)
    expect(report(frames[0], 1_300, { sequence: after(first, 3_000) })).toBe(false)
    expect(report(frames[0], 0)).toBe(false)
    report(frames[0], 1_500)
    guest.acknowledgement = after(first, 1_440)
    guest.send("A")
    memory.run()
    expect(report(frames[0], 1_300)).toBe(false)
    memory.run()
    memory.guest.expectNothing()
    world.write(patternBytes(1_440))
    expect(segments(memory).at(-1)?.payload).toHaveLength(1_440)
  })

  test("is as small from the start in a connection that begins later", () => {
    const { memory } = both
    memory.tap.noticePathMtu(Address.parse(guestAddress), 1_300)
    const { world } = connect(memory, { ends: { ...ends, sourcePort: 40_001 }, syn: { mss: 1_440 } })
    world.write(patternBytes(1_440))
    expect(segments(memory)[0].payload).toHaveLength(1_300 - headers)
  })

  test("is sent without a time-out of the others' congestion: no less is in flight than before", () => {
    const { memory, world } = both
    world.write(patternBytes(50_000))
    const frames = segments(memory)
    report(frames[0], 1_300)
    memory.run()
    expect(segments(memory).reduce((bytes, { payload }) => bytes + payload.length, 0)).toBe(50_000)
  })

  test("and the FIN behind it come again", () => {
    const { memory, guest, world } = both
    world.write(patternBytes(1_440))
    world.end()
    const frames = segments(memory)
    report(frames[0], 1_300)
    memory.run()
    const mss = 1_300 - headers
    expect(numbers(memory, first)).toEqual([`A 0+${mss}`, `A ${mss}+${1_440 - mss}`, "FA 1440+0"])
    guest.acknowledgement = after(first, 1_441)
    guest.send("AF")
    guest.expect(check.tcp({ flags: "A" }))
    memory.run(2_000)
    expect(memory.leftovers()).toEqual([])
  })
})

test("another error about a segment changes nothing", () => {
  const both = connected()
  const report = reporter(both)
  both.world.write("hello")
  const [frame] = segments(both.memory)
  for (const code of [0, 1, 2, 3, 13]) report(frame, 0, { code })
  both.memory.run()
  both.memory.guest.expectNothing()
  expect(both.world.isReset).toBe(false)
})

test("the smaller size goes to the link where that cuts", () => {
  const both = connected({ syn: { mss: 1_440 }, link: { tcpSegmentation: true, checksumOffload: true } })
  const report = reporter(both)
  const { memory, world } = both
  world.write(patternBytes(10_000))
  const [frame] = segments(memory)
  expect(frame.payload).toHaveLength(10_000)
  report(frame, 1_300)
  memory.run()
  expect(segments(memory)[0]).toMatchObject({ segmentSize: 1_260 })
})
