/** Sockets that report only later that the host has refused the guest's port. */
import { ALL_CAPABILITIES, Errno, type Socket } from "@demiflow/core"
import { check } from "@demiflow/testkit"
import { expect, test, vi } from "vitest"
import { type Bench, type BenchOptions, bench, scripted } from "../test-support/bench.ts"

interface Setup {
  readonly memory: Bench
  /** Ports that sockets were opened from. */
  readonly opened: number[]
}

/** @param refusals number of sockets that can't have their port */
function setUp(refusals: number, options?: BenchOptions): Setup {
  const memory = bench(options)
  const { sockets } = memory
  Object.assign(sockets, { capabilities: { ...ALL_CAPABILITIES, immediateErrors: false } })
  const opened: number[] = []
  const connect = sockets.tcpConnect.bind(sockets)
  vi.spyOn(sockets, "tcpConnect").mockImplementation((side, target, ...marks) => {
    opened.push(target.forwardingPort)
    return connect(side, target, ...marks)
  })
  const outcome = vi.spyOn(sockets, "connectOutcome")
  for (let count = 0; count < refusals; count++) outcome.mockReturnValueOnce(-Errno.EADDRINUSE)
  return { memory, opened }
}

test("a connection whose port is refused is made from any port", () => {
  const { memory, opened } = setUp(1)
  const guest = scripted(memory, { sourcePort: 4_000 })
  guest.send("S")
  guest.expect(check.tcp({ flags: "SA", acknowledgement: guest.sequence }))
  expect([opened, memory.sockets.openSockets]).toEqual([[4_000, 0], 1])
  guest.send("R")
  memory.run()
  expect(memory.leftovers()).toEqual([])
})

test("a connection that is refused any port as well has failed", () => {
  const { memory, opened } = setUp(2)
  const guest = scripted(memory, { sourcePort: 4_000 })
  guest.send("S")
  guest.expect(check.tcp({ flags: "RA", acknowledgement: guest.sequence }))
  memory.guest.expectNothing()
  expect([opened, memory.leftovers()]).toEqual([[4_000, 0], []])
})

test("a connection that gives way itself, without a descriptor for any port, ends once and without a word", () => {
  const { memory } = setUp(1, { sockets: { rtt: 1_200 } })
  const guest = scripted(memory, { sourcePort: 4_000 })
  guest.send("S")
  memory.run(1_000)
  vi.mocked(memory.sockets.tcpConnect).mockReturnValueOnce(-Errno.EMFILE as Socket)
  memory.run(200)
  memory.guest.expectNothing()
  expect(memory.drops.get("tcp: gave way half open")).toBe(1)
  expect(memory.leftovers()).toEqual([])
  // Two connections afterwards are two.
  const others = [4_001, 4_002].map((sourcePort) => scripted(memory, { sourcePort }))
  for (const other of others) other.send("S")
  memory.run(1_200)
  for (const other of others) other.expect(check.tcp({ flags: "SA", acknowledgement: other.sequence }))
  expect(memory.flows.size).toBe(2)
})

test("sockets from any port count towards the pace of a flood", () => {
  const { memory, opened } = setUp(2_000, { capacity: 32_768, sockets: { rtt: 30 } })
  for (let port = 1; port <= 2_000; port++) {
    scripted(memory, { sourcePort: port }).send("S")
    if (port % 8 === 0) memory.turn()
  }
  memory.run(30)
  const first = opened.filter((port) => port > 0).length
  // The first ones are refused their ports.
  expect(opened.length - first).toBeGreaterThanOrEqual(256)
  memory.run(7)
  // Others wait, and don't get their sockets yet.
  expect(opened.filter((port) => port > 0)).toHaveLength(first)
  expect(memory.flows.size).toBeGreaterThan(first)
})
