/**
 * Measures what many flows cost TCP and UDP, and how long garbage collections delay packets, with ends that cost
 * nothing and take no descriptors. Run by hand, with the options that the data path has (src/runtime.ts):
 *
 *     npx esbuild packages/program/bench/many-flows.ts --bundle --platform=node --format=esm \
 *     --conditions=@demiflow/source --outfile=/tmp/many-flows.mjs node --max-semi-space-size=1 --no-parallel-scavenge
 *     --initial-old-space-size=128 /tmp/many-flows.mjs 50000
 */
import { PerformanceObserver } from "node:perf_hooks"
import { IpProtocol, SocketEvent, targetSide, UDP_HEADER_LENGTH } from "@demiflow/core"
import { tcp } from "@demiflow/tcp"
import { HollowStack } from "@demiflow/testkit"
import { udp } from "@demiflow/udp"

const EAGAIN = -11
const RESET = 4
const PUSH = 8
const ACKNOWLEDGEMENT = 16
/** Steps in which the flows are set up. */
const STEPS = 5
const PACKETS = 400_000
const CONNECTIONS = 30_000

const flows = Number(process.argv[2] ?? 50_000)
let answers = 0
const hollow = new HollowStack([tcp({ holdPoolSize: 0 }), udp()], {
  capacity: 131_072,
  sockets: {
    receiveDatagrams: (_, batch) => {
      if (answers === 0) return EAGAIN
      answers--
      batch.length[0] = 1
      batch.count = 1
      return 1
    },
  },
})
const { arena, packet, stack } = hollow
const sequences = new Int32Array(hollow.flows.capacity)
const acknowledgements = new Int32Array(hollow.flows.capacity)
const pauses: number[] = []
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) pauses.push(duration)
}).observe({ entryTypes: ["gc"] })

function segment(flow: number, flags: number, length = 0): void {
  hollow.sendSegment(flow, flags, sequences[flow], acknowledgements[flow], length)
  sequences[flow] += length
}

/** @param index number of the flow in the table */
function connect(flow: number, index: number): void {
  acknowledgements[flow] = hollow.connect(flow, index)
  sequences[flow] = 1
}

function exchange(flow: number, index: number): void {
  arena.view.setUint16(packet + 4, UDP_HEADER_LENGTH + 1)
  hollow.send(IpProtocol.udp, flow, UDP_HEADER_LENGTH + 1)
  answers = 1
  stack.fromHost(targetSide(index as never), SocketEvent.readable)
}

/** Garbage collections are reported in a turn of the runtime's own loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}

async function measure(what: string, count: number, one: (index: number) => void): Promise<void> {
  let spent = 0
  for (let index = 0; index < count; ) {
    const began = performance.now()
    for (const end = Math.min(count, index + 1_000); index < end; index++) one(index)
    spent += performance.now() - began
    await turn()
  }
  await turn()
  const sorted = pauses.splice(0).sort((a, b) => a - b)
  const at = (part: number) => (sorted[Math.floor((sorted.length - 1) * part)] ?? 0).toFixed(2)
  const { heapUsed, rss } = process.memoryUsage()
  process.stdout.write(
    `${what.padEnd(40)} ${((spent / count) * 1000).toFixed(2)} µs, ` +
      `pauses: ${sorted.length}, median ${at(0.5)}, longest ${at(1)} ms; ` +
      `heap ${Math.round(heapUsed / 1e6)} MB, resident ${Math.round(rss / 1e6)} MB\n`,
  )
}

const half = flows / 2
for (let step = 0; step < STEPS; step++) {
  const first = (step * half) / STEPS
  await measure(`a connection and a UDP flow, to ${((step + 1) * flows) / STEPS}`, half / STEPS, (index) => {
    connect(first + index, 2 * (first + index))
    exchange(first + index, 2 * (first + index) + 1)
    hollow.endTurn(1)
  })
}
await measure("a segment of any connection", PACKETS, (index) => {
  segment((index * 7_919) % half, PUSH | ACKNOWLEDGEMENT, 1)
  if (index % 8 === 0) hollow.endTurn(1)
})
await measure("a segment of one connection", PACKETS, (index) => {
  segment(5, PUSH | ACKNOWLEDGEMENT, 1)
  if (index % 8 === 0) hollow.endTurn(1)
})
await measure("a connection beside them, and its reset", CONNECTIONS, (index) => {
  connect(half + (index % 1_000), flows)
  segment(half + (index % 1_000), RESET)
  hollow.endTurn(1)
})
hollow.clock.now += 200_000
let turns = 0
let longest = 0
while (stack.nextDeadline() <= hollow.clock.now) {
  const began = performance.now()
  hollow.endTurn()
  longest = Math.max(longest, performance.now() - began)
  turns++
}
process.stdout.write(`expiry of ${half} UDP flows at once: ${turns} turns, the longest ${longest.toFixed(2)} ms\n`)
process.exit(hollow.flows.size === half ? 0 : 1)
