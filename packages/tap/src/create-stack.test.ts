import {
  Address,
  Arena,
  CHECKSUM_DONE,
  Demiflow,
  Drops,
  type FlowTable,
  type Forwarding,
  FrameBatch,
  HANDLED,
  type Host,
  Interface,
  MacAddress,
  type ProtocolPlugin,
} from "@demiflow/core"
import { expect, test } from "vitest"
import { CountingRandom, ManualClock } from "../test/fixture.ts"
import { ipv4, parse, pattern } from "../test/packets.ts"
import { createStack, linkLocalOf } from "./create-stack.ts"
import { memoryLinkPair } from "./memory-link.ts"
import { tapArenaBytes } from "./tap-side.ts"

const sizes = { transmitBytes: 1 << 20, reassemblySlots: 1 }

function setUp(plugins: ProtocolPlugin[], hostArena?: Arena) {
  const arena = new Arena(tapArenaBytes(sizes) + (4 << 20))
  const [link, guest] = memoryLinkPair(arena, arena, { capabilities: { smallestFrame: 0 }, queueBytes: 1 << 20 })
  const clock = new ManualClock()
  const drops = new Drops()
  const events: string[] = []
  const flows = {
    expire: () => events.push("expire"),
    endTurn: () => events.push("end turn"),
    nextDeadline: () => Number.POSITIVE_INFINITY,
  } as unknown as FlowTable
  const running = createStack({
    ...sizes,
    link,
    host: { arena: hostArena ?? arena } as Host,
    flows,
    forwarding: {} as Forwarding,
    clock,
    random: new CountingRandom(),
    drops,
    plugins,
  })
  return { ...running, arena, guest, drops, events, clock }
}

/** Sends back what it gets, and a greeting at start. */
const mirror: ProtocolPlugin = ({ guest, arena }) => ({
  name: "mirror",
  claims: [{ ipProtocol: 253 }],
  start() {
    const greeting = Demiflow.of(Interface.tap, guest.ourLinkLocal, 0, Address.parse("ff02::1"), 0)
    guest.end(guest.begin(greeting, 253, 8), 0, CHECKSUM_DONE)
  },
  fromTap(sequence) {
    for (let index = 0; index < sequence.count; index++) {
      const length = sequence.endOffset[index] - sequence.transportOffset[index]
      const offset = guest.begin(sequence.demiflow, 253, length)
      arena.copy(sequence.transportOffset[index], offset, length)
      guest.end(offset, length, CHECKSUM_DONE)
    }
    return HANDLED
  },
})

function received({ arena, guest }: ReturnType<typeof setUp>) {
  const batch = new FrameBatch(16)
  guest.receive(batch)
  return Array.from({ length: batch.count }, (_, index) =>
    parse(arena.bytes.slice(batch.offset[index], batch.offset[index] + batch.length[index])),
  )
}

test("a turn takes packets from the guest, runs what is due, and sends the answers", () => {
  const running = setUp([mirror])
  expect(running.turn()).toBe(0)
  expect(received(running)).toMatchObject([{ to: "ff02::1", from: "fe80::9855:9aff:fe55:9a55" }])
  running.events.length = 0
  const frame = ipv4(253, pattern(40), { from: "192.0.2.2", to: "198.51.100.7" })
  const scratch = running.arena.reserve(1024)
  running.arena.bytes.set(frame, scratch)
  const batch = new FrameBatch(1)
  batch.setPlain(0, scratch, frame.length)
  running.guest.send(batch, 0, 1)
  expect(running.turn()).toBe(1)
  expect(running.events).toEqual(["expire", "end turn"])
  expect(received(running)).toMatchObject([{ from: "198.51.100.7", to: "192.0.2.2", transport: pattern(40) }])
  expect(running.drops.total).toBe(0)
})

test("it reports that the guest is gone", () => {
  const { guest, turn } = setUp([])
  guest.close()
  expect(turn()).toBeLessThan(0)
})

test("link and host have to share an arena", () => {
  expect(() => setUp([], new Arena(1024))).toThrow(expect.objectContaining({ code: "ERR_ARENA_MISMATCH" }))
})

test("tapArenaBytes is enough, and not far too much", () => {
  const { arena } = setUp([])
  expect(arena.remaining).toBeGreaterThan((4 << 20) - (2 << 20) - 1)
  expect(arena.remaining).toBeLessThan((4 << 20) - (2 << 20) + 4096)
})

test.each([
  ["00:1b:44:11:3a:b7", "fe80::21b:44ff:fe11:3ab7"],
  ["9a:55:9a:55:9a:55", "fe80::9855:9aff:fe55:9a55"],
  ["02:00:00:00:00:00", "fe80::ff:fe00:0"],
])("the link-local address of %s is %s", (mac, address) => {
  expect(linkLocalOf(MacAddress.parse(mac)).toString()).toBe(address)
})
