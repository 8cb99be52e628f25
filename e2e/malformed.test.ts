/** Whatever a guest writes to its tap device: nothing crashes, drops are counted, and work continues. */
import { join } from "node:path"
import fc from "fast-check"
import { beforeAll, describe, expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import { checksum, resum, validFrames } from "./harness/frames.ts"
import { reachable, testWith } from "./harness/machine.ts"
import { mutatedFrame } from "./harness/mutations.ts"
import { Pasta, usePasta } from "./harness/pasta.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

async function startWriter(pasta: Pasta): Promise<Program> {
  const program = reachable(join(import.meta.dirname, "programs/write-frames.py"))
  const writer = pasta.guest.start(["/usr/bin/python3", program, "eth0"], { keepInputOpen: true })
  await writer.printed(/ready/)
  return writer
}

/** Writes these frames. Returns the number that the interface accepted. */
async function write(writer: Program, frames: readonly Buffer[]): Promise<number> {
  const seen = writer.stdout.length
  writer.write(`${frames.map((frame) => frame.toString("hex")).join("\n")}\n\n`)
  const [, taken] = await writer.printed(new RegExp(`^[^]{${seen}}[^]*taken (\\d+)\n`))
  return Number(taken)
}

/** The counters that pasta prints when it ends. */
function drops(stderr: string): Readonly<Record<string, number>> {
  const counts = [...stderr.matchAll(/\bdropped: (\d+) \(([^)]+)\)$/gm)]
  return Object.fromEntries(counts.map(([, count, reason = ""]) => [reason, Number(count)]))
}

const total = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, count) => sum + count, 0)

testWith("python3")("mutated frames of every protocol crash nothing", async () => {
  const pasta = await Pasta.start(topology, { options: ["--config-net", "-d"] })
  const writer = await startWriter(pasta)
  await write(writer, Object.values(validFrames))
  await fc.assert(
    fc.asyncProperty(fc.array(mutatedFrame, { minLength: 300, maxLength: 300 }), async (frames) => {
      expect(await write(writer, frames)).toBeGreaterThan(0)
      // An answer shows that everything before it has been handled and counted.
      expect(await pasta.guest.run(["ping", "-c", "1", "-W", "5", "198.51.100.7"])).toMatchObject({ status: 0 })
    }),
    { numRuns: 20, seed: 20_240_519, endOnFailure: true },
  )
  writer.closeInput()
  await expectTraffic(pasta.guest)
  const { status, stderr } = await pasta.stop()
  expect(status).toBe(0)
  expect(stderr).not.toMatch(/\bat .*:\d+:\d+/)
  expect(total(drops(stderr))).toBeGreaterThan(1000)
})

/** Frames with exactly one fault, which no implementation may accept. */
function wrong(): Readonly<Record<string, Buffer>> {
  const change = (name: string, at: number, ...bytes: number[]): Buffer => {
    const frame = Buffer.from(validFrames[name] ?? Buffer.alloc(0))
    Buffer.from(bytes).copy(frame, at)
    return frame
  }
  const headerSummed = (frame: Buffer): Buffer => {
    frame.writeUInt16BE(0, 24)
    frame.writeUInt16BE(checksum(frame.subarray(14, 34)), 24)
    return frame
  }
  return {
    "ARP for other hardware": change("ARP request", 14, 0, 6),
    "ARP cut short": (validFrames["ARP request"] ?? Buffer.alloc(0)).subarray(0, 30),
    "IPv4 of version 5": headerSummed(change("IPv4 UDP", 14, 0x55)),
    "IPv4 with a header of 16 bytes": headerSummed(change("IPv4 UDP", 14, 0x44)),
    "IPv4 longer than its frame": headerSummed(change("IPv4 UDP", 16, 0x10, 0)),
    "IPv4 shorter than its header": headerSummed(change("IPv4 UDP", 16, 0, 10)),
    "IPv4 with a wrong header checksum": change("IPv4 UDP", 24, 0xde, 0xad),
    "IPv4 from a broadcast address": resum(change("IPv4 UDP", 26, 255, 255, 255, 255)),
    "TCP with a header of 16 bytes": resum(change("IPv4 TCP SYN", 46, 0x40)),
    "TCP with a header beyond its end": resum(change("IPv4 TCP SYN", 46, 0xf0)),
    "TCP with a wrong checksum": change("IPv4 TCP SYN", 50, 0xde, 0xad),
    "UDP shorter than its header": resum(change("IPv4 UDP", 38, 0, 7)),
    "UDP longer than its packet": resum(change("IPv4 UDP", 38, 0xff, 0)),
    "ICMP echo with a wrong checksum": change("IPv4 echo request", 36, 0xde, 0xad),
    "IPv6 of version 4": change("IPv6 UDP", 14, 0x40),
    "IPv6 longer than its frame": change("IPv6 UDP", 18, 0x10, 0),
    "IPv6 from a multicast address": resum(change("IPv6 UDP", 22, 0xff)),
    "IPv6 with a wrong UDP checksum": change("IPv6 UDP", 60, 0xde, 0xad),
    "IPv6 with an extension header beyond its end": change("IPv6 UDP behind extension headers", 55, 0xff),
    "neighbour solicitation with a hop limit of 64": change("IPv6 neighbour solicitation", 21, 64),
    "neighbour solicitation with an option of no length": resum(change("IPv6 neighbour solicitation", 79, 0)),
  }
}

describe("one thing wrong", () => {
  const count = 50
  const running = usePasta(topology, { options: ["--config-net", "--stats", "1"] })
  let writer: Program
  beforeAll(async () => {
    writer = await startWriter(running.pasta)
  })

  /** The counters of the last table that pasta printed. It prints one in each second with events. */
  function dropsSoFar(): Readonly<Record<string, number>> {
    const rows = [...running.pasta.program.stderr.matchAll(/dropped \(([^)]+)\) +(\d+)$/gm)]
    return Object.fromEntries(rows.map(([, reason = "", number]) => [reason, Number(number)]))
  }

  for (const [name, frame] of Object.entries(wrong())) {
    testWith("python3")(`${name}: each is dropped and counted`, async () => {
      const before = dropsSoFar()
      const frames = Array.from({ length: count }, () => frame)
      expect(await write(writer, frames)).toBe(count)
      // The guest's own packets (group reports, for example) are dropped as well, but less often.
      await eventually("as many are counted, for one reason", () => {
        const counts = Object.entries(dropsSoFar())
        return counts.some(([reason, number]) => number - (before[reason] ?? 0) >= count) ? true : undefined
      })
    })
  }
})

test("the frames that are mutated are valid", () => {
  for (const frame of Object.values(validFrames)) expect(resum(frame).equals(frame)).toBe(true)
})
