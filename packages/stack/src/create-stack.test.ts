import {
  Address,
  Arena,
  CHECKSUM_DONE,
  Demiflow,
  type Driven,
  Drops,
  Errno,
  type FlowTable,
  type Forwarding,
  FrameBatch,
  HANDLED,
  Interface,
  type Loop,
  MacAddress,
  type ProtocolPlugin,
  type Sockets,
} from "@demiflow/core"
import { memoryLinkPair } from "@demiflow/tap"
import { expect, test } from "vitest"
import { createStack, stackArenaBytes } from "./create-stack.ts"
import { linkLocalOf } from "./link-local.ts"
import { CountingRandom, ipv4, parse, pattern } from "./test-support.ts"

const sizes = { transmitBytes: 1 << 20, reassemblySlots: 1 }

function setUp(plugins: ProtocolPlugin[], hostArena?: Arena) {
  const arena = new Arena(stackArenaBytes({ ...sizes, plugins: [] }) + (4 << 20))
  const [link, guest] = memoryLinkPair(arena, arena, { capabilities: { smallestFrame: 0 }, queueBytes: 1 << 20 })
  const clock = { now: 0 }
  const drops = new Drops()
  const events: string[] = []
  const flows = {
    expire: () => events.push("expire"),
    endTurn: () => events.push("end turn"),
    nextDeadline: () => 0,
  } as unknown as FlowTable
  const running = createStack({
    ...sizes,
    link,
    sockets: { arena: hostArena ?? arena } as Sockets,
    flows,
    forwarding: {} as Forwarding,
    clock,
    random: new CountingRandom(),
    drops,
    plugins,
  })
  return { ...running, arena, guest, drops, events, clock }
}

/** Sends back what it receives, and a greeting at start. */
const mirror: ProtocolPlugin = ({ guest, arena }) => ({
  name: "mirror",
  claims: [{ ipProtocol: 253 }],
  start() {
    const greeting = Demiflow.of(Interface.tap, guest.ourLinkLocal, 0, Address.parse("ff02::1"), 0)
    guest.end(guest.begin(greeting, 253, 8), 0, CHECKSUM_DONE)
  },
  fromGuest(sequence) {
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
  const frame = ipv4(253, pattern(40), "192.0.2.2", "198.51.100.7")
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

test("frames that the guest sends while others of its frames are handled aren't forgotten", () => {
  const flushing: ProtocolPlugin = (components) => {
    const handler = mirror(components)
    return {
      ...handler,
      fromGuest(sequence) {
        handler.fromGuest(sequence)
        components.guest.flush()
        return HANDLED
      },
    }
  }
  const arena = new Arena(stackArenaBytes({ ...sizes, plugins: [] }) + (4 << 20))
  const [link, guest] = memoryLinkPair(arena, arena, { queueBytes: 1 << 20 })
  const driven: Driven[] = []
  const loop = { clock: { now: 0 }, attach: (each: Driven) => driven.push(each) } as unknown as Loop
  const sockets = { arena } as Sockets
  const running = createStack({ ...sizes, link, sockets, loop, random: new CountingRandom(), plugins: [flushing] })
  link.onReadable = running.framesWait
  driven[0].turn()
  guest.receive(new FrameBatch(16))
  const frame = ipv4(253, pattern(40), "192.0.2.2", "198.51.100.7")
  const scratch = arena.reserve(1024)
  arena.bytes.set(frame, scratch)
  const one = new FrameBatch(1)
  one.setPlain(0, scratch, frame.length)
  guest.onReadable = () => {
    guest.onReadable = undefined
    guest.send(one, 0, 1)
  }
  guest.send(one, 0, 1)
  driven[0].turn()
  expect([running.hasFrames, driven[0].nextDeadline()]).toEqual([true, Number.NEGATIVE_INFINITY])
  driven[0].turn()
  expect([running.hasFrames, guest.receive(new FrameBatch(16))]).toEqual([false, 2])
})

test("it reports that the guest is gone once the guest's last frames are handled, though nothing else happens", () => {
  const arena = new Arena(stackArenaBytes({ ...sizes, plugins: [] }) + (4 << 20))
  const [link, guest] = memoryLinkPair(arena, arena, { queueBytes: 1 << 20 })
  const driven: Driven[] = []
  const loop = { clock: { now: 0 }, attach: (each: Driven) => driven.push(each) } as unknown as Loop
  const ends: number[] = []
  const onLinkError = (errno: number) => ends.push(errno)
  const sockets = { arena } as Sockets
  const random = new CountingRandom()
  const running = createStack({ ...sizes, link, sockets, loop, random, onLinkError, plugins: [mirror] })
  link.onReadable = running.framesWait
  driven[0].turn()
  const frame = ipv4(253, pattern(40), "192.0.2.2", "198.51.100.7")
  const scratch = arena.reserve(1024)
  arena.bytes.set(frame, scratch)
  const one = new FrameBatch(1)
  one.setPlain(0, scratch, frame.length)
  guest.send(one, 0, 1)
  guest.close()
  driven[0].turn()
  expect([ends, driven[0].nextDeadline()]).toEqual([[], Number.NEGATIVE_INFINITY])
  driven[0].turn()
  expect(ends).toEqual([Errno.EPIPE])
})

test("it reports that the guest is gone", () => {
  const { guest, turn } = setUp([])
  guest.close()
  expect(turn()).toBeLessThan(0)
})

test("a stack may be closed because its guest is gone, and does nothing after that", () => {
  const late: string[] = []
  const plugin: ProtocolPlugin = () => ({
    name: "late",
    claims: [],
    fromGuest: () => HANDLED,
    endTurn: () => late.push("end turn"),
  })
  const arena = new Arena(stackArenaBytes({ ...sizes, plugins: [] }) + (4 << 20))
  const [link, guest] = memoryLinkPair(arena, arena, { queueBytes: 1 << 20 })
  const running = createStack({
    ...sizes,
    link,
    sockets: { arena } as Sockets,
    clock: { now: 0 },
    random: new CountingRandom(),
    plugins: [plugin],
    onLinkError() {
      running.close()
      late.length = 0
    },
  })
  guest.close()
  expect([running.turn(), late]).toEqual([expect.any(Number), []])
})

test("a stack gives back what it has, even if its owner throws about a handler that fails at the end", () => {
  const plugin: ProtocolPlugin = () => ({
    name: "failing",
    claims: [],
    fromGuest: () => HANDLED,
    stop() {
      throw new Error("a handler's mistake")
    },
  })
  const arena = new Arena(stackArenaBytes({ ...sizes, plugins: [plugin] }) + (4 << 20))
  const [link] = memoryLinkPair(arena, arena, { queueBytes: 1 << 20 })
  const before = arena.remaining
  const running = createStack({
    ...sizes,
    link,
    sockets: { arena } as Sockets,
    clock: { now: 0 },
    random: new CountingRandom(),
    plugins: [plugin],
    onFailure(error) {
      throw error
    },
  })
  running.turn()
  expect(running.close).toThrow("a handler's mistake")
  expect(arena.remaining).toBe(before)
})

test("link and host have to share an arena", () => {
  expect(() => setUp([], new Arena(1024))).toThrow(expect.objectContaining({ code: "ERR_ARENA_MISMATCH" }))
})

test("a stack takes stackArenaBytes of the link's arena, no less and not far more", () => {
  const { arena } = setUp([])
  expect(arena.remaining).toBeGreaterThan((4 << 20) - (2 << 20) - 1)
  expect(arena.remaining).toBeLessThan((4 << 20) - (2 << 20) + 4096)
})

test("stackArenaBytes covers plug-ins that reserve all they declare, and a policy that decides later", () => {
  const reserving: ProtocolPlugin = ({ arena }) => {
    arena.reserve(1 << 20, 1)
    return { name: "reserving", claims: [], fromGuest: () => HANDLED }
  }
  const plugins = [Object.assign(reserving, { arenaBytes: 1 << 20 })]
  const linkBytes = 3 << 20
  const arena = new Arena(stackArenaBytes({ ...sizes, plugins }) + linkBytes)
  const [link] = memoryLinkPair(arena, arena, { queueBytes: 1 << 20 })
  const random = new CountingRandom()
  const sockets = { arena } as Sockets
  for (const patience of [undefined, { milliseconds: 1_000, flows: 8 }]) {
    const forwarding = { patience } as unknown as Forwarding
    const running = createStack({ ...sizes, link, sockets, clock: { now: 0 }, random, forwarding, plugins })
    running.close()
  }
})

test.each([
  ["00:1b:44:11:3a:b7", "fe80::21b:44ff:fe11:3ab7"],
  ["9a:55:9a:55:9a:55", "fe80::9855:9aff:fe55:9a55"],
  ["02:00:00:00:00:00", "fe80::ff:fe00:0"],
])("the link-local address of %s is %s", (mac, address) => {
  expect(linkLocalOf(MacAddress.parse(mac)).toString()).toBe(address)
})
