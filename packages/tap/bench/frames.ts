/**
 * What a frame costs in the tap side alone: a link that costs nothing, a handler that does nothing. By hand:
 *
 *     npx esbuild packages/tap/bench/frames.ts --bundle --platform=node --format=esm \
 *       --conditions=@demiflow/source --outfile=/tmp/frames.mjs && node --expose-gc /tmp/frames.mjs
 */
import {
  Address,
  Arena,
  Demiflow,
  Drops,
  type FrameBatch,
  HANDLED,
  Interface,
  type Link,
  type LinkCapabilities,
  MacAddress,
  Stack,
  type StackParts,
  silentLog,
} from "@demiflow/core"
import { TapSide, tapArenaBytes } from "../src/tap-side.ts"
import { ipv4, ipv6, pattern, tcpHeader, udp } from "../test/packets.ts"

const BATCH = 64

/** A link whose frames are always the same, and that takes everything. */
class IdleLink implements Link {
  readonly arena: Arena = new Arena(tapArenaBytes() + (8 << 20))
  readonly capabilities: LinkCapabilities
  readonly #offsets: number[] = []
  readonly #lengths: number[] = []
  sent = 0

  constructor(capabilities: Partial<LinkCapabilities>, frames: readonly Uint8Array[]) {
    const plain = { mtu: 65_520, headroom: 12, checksumOffload: false, tcpSegmentation: false, udpSegmentation: false }
    this.capabilities = { ...plain, ...capabilities }
    for (let index = 0; index < BATCH; index++) {
      const frame = frames[index % frames.length]
      const offset = this.arena.reserve(frame.length + 12) + 12
      this.arena.bytes.set(frame, offset)
      this.#offsets.push(offset)
      this.#lengths.push(frame.length)
    }
  }

  receive(batch: FrameBatch): number {
    for (let index = 0; index < BATCH; index++) {
      batch.setPlain(index, this.#offsets[index], this.#lengths[index])
      batch.checksumTrusted[index] = 1
    }
    batch.count = BATCH
    return BATCH
  }

  send(_batch: FrameBatch, _first: number, count: number): number {
    this.sent += count
    return count
  }

  close(): void {}
}

function setUp(capabilities: Partial<LinkCapabilities>, frames: readonly Uint8Array[] = [pattern(14)]) {
  const link = new IdleLink(capabilities, frames)
  const clock = { now: 0 }
  const drops = new Drops()
  const tap = new TapSide({
    link,
    clock,
    random: { int32: () => 42 },
    drops,
    ourMac: new MacAddress(0x9a55, 0x9a559a55),
    ourLinkLocal: Address.parse("fe80::1"),
    batchSize: BATCH,
  })
  const parts = { arena: link.arena, guest: tap, clock, log: silentLog, drops } as unknown as StackParts
  let packets = 0
  const stack = new Stack(parts, [
    () => ({
      name: "idle",
      claims: [
        { ipProtocol: 6, hasPorts: true },
        { ipProtocol: 17, hasPorts: true },
      ],
      fromTap: (sequence) => {
        packets += sequence.count
        return HANDLED
      },
    }),
  ])
  tap.attach(stack)
  return { link, tap, drops, packets: () => packets }
}

/** Runs `work` until its time settles, and prints what one of its `units` costs and what it leaves on the heap. */
function measure(name: string, units: number, work: () => void): void {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 8; round++) {
    const start = process.hrtime.bigint()
    for (let index = 0; index < 1000; index++) work()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 1000 / units)
  }
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  for (let index = 0; index < 2000; index++) work()
  const bytes = (process.memoryUsage().heapUsed - before) / 2000 / units
  console.log(`${name.padEnd(58)} ${best.toFixed(0).padStart(7)} ns  ${bytes.toFixed(2).padStart(7)} bytes of heap`)
}

function inbound(name: string, frames: readonly Uint8Array[]): void {
  const { tap, drops, packets } = setUp({ checksumOffload: true }, frames)
  measure(`from the guest: ${name}`, BATCH, () => tap.receive(BATCH))
  if (drops.total > 0 || packets() === 0) throw new Error(`dropped: ${drops.entries().join(" ")}`)
}

function outbound(
  name: string,
  capabilities: Partial<LinkCapabilities>,
  demiflow: Demiflow,
  length: number,
  segmentSize = 0,
  units = 1,
): void {
  const { tap, link } = setUp(capabilities)
  const header = tcpHeader([80, 4000], 1, 0x10)
  measure(`to the guest: ${name}`, BATCH * units, () => {
    for (let index = 0; index < BATCH; index++) {
      const offset = tap.begin(demiflow, 6, 20 + length)
      if (index === 0) link.arena.bytes.set(header, offset)
      tap.end(offset, 20 + length, 16, segmentSize, 20)
    }
    tap.flush()
  })
}

const four = { from: "192.0.2.2", to: "198.51.100.7" }
const six = { from: "2001:db8::2", to: "2001:db8:1::7" }
const segment = Uint8Array.from([...tcpHeader([4000, 80], 1, 0x10), ...pattern(1440)])
const ports = Array.from({ length: BATCH }, (_, index) => 4000 + index)

inbound("TCP over IPv4, one flow", [ipv4(6, segment, four)])
inbound("TCP over IPv6, one flow", [ipv6(6, segment, six)])
inbound(
  "UDP over IPv4, another flow each",
  ports.map((port) => ipv4(17, udp([port, 53], pattern(40)), four)),
)
inbound(
  "UDP over IPv6, another flow each",
  ports.map((port) => ipv6(17, udp([port, 53], pattern(40)), six)),
)

const towards4 = Demiflow.of(Interface.tap, Address.parse(four.to), 80, Address.parse(four.from), 4000)
const towards6 = Demiflow.of(Interface.tap, Address.parse(six.to), 80, Address.parse(six.from), 4000)
const offloads = { checksumOffload: true, tcpSegmentation: true }
outbound("TCP over IPv4, 1,440 bytes, checksum left", offloads, towards4, 1440)
outbound("TCP over IPv6, 1,440 bytes, checksum left", offloads, towards6, 1440)
outbound("TCP over IPv4, 64,000 bytes, cut by the link", { ...offloads, mtu: 1500 }, towards4, 64_000, 1440)
outbound("TCP over IPv4, no payload, checksum by us", {}, towards4, 0)
outbound("TCP over IPv4, 1,440 bytes, checksum by us", {}, towards4, 1440)
outbound(
  "each of 45 segments cut by us, checksum left",
  { checksumOffload: true, mtu: 1500 },
  towards4,
  64_800,
  1440,
  45,
)
outbound("each of 45 segments cut and summed by us", { mtu: 1500 }, towards4, 64_800, 1440, 45)
