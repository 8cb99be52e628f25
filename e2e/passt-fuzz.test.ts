/** Whatever a hypervisor writes to the socket: nothing crashes, nothing grows, and the next one is served. */
import fc from "fast-check"
import { expect, test } from "vitest"
import { expectTraffic } from "./cases/traffic.ts"
import { framed, Hypervisor } from "./harness/hypervisor.ts"
import { descriptors, residentMemory } from "./harness/inspection.ts"
import { mutatedFrame } from "./harness/mutations.ts"
import { Passt } from "./harness/passt.ts"
import { eventually } from "./harness/processes.ts"
import { useServer } from "./harness/servers.ts"
import { createGuest, StandIn } from "./harness/stand-in.ts"
import { useTopology } from "./harness/topology.ts"
import { slice } from "./programs/pattern.mjs"

const topology = useTopology()
useServer("tcp-server.mjs", topology)
useServer("udp-server.mjs", topology)

async function servesARealGuest(passt: Passt): Promise<void> {
  const guest = await createGuest()
  const standIn = await StandIn.start(guest, passt.socket)
  await expectTraffic(guest)
  await standIn.stop()
  await guest.remove()
}

async function endsWell(passt: Passt): Promise<void> {
  const { status, stderr } = await passt.stop()
  expect(status).toBe(0)
  expect(stderr).not.toMatch(/\bat .*:\d+:\d+/) // No stack trace.
}

/** Sends these frames over a connection of their own, and sees that passt has dealt with them all. */
async function deliver(passt: Passt, frames: readonly Buffer[]): Promise<void> {
  const hypervisor = await Hypervisor.connect(passt.socket)
  for (let first = 0; first < frames.length; first += 500) {
    await hypervisor.send(Buffer.concat(frames.slice(first, first + 500).map(framed)))
    await hypervisor.settle()
  }
  await hypervisor.disconnect()
}

test("memory and descriptors are the same after 100,000 frames of rubbish", async () => {
  const passt = await Passt.start(topology)
  const open = () => descriptors(passt.pid).length
  const before = open()
  const settled = () =>
    eventually("the sockets of the guest's flows are closed", () => (open() <= before ? true : undefined), 40_000)
  const memory: number[] = []
  const batch = 10_000
  for (let round = 0; round < 10; round++) {
    // Half of them nearly right, half of them bytes of no order at all.
    const mutated = fc.sample(mutatedFrame, { numRuns: batch / 2, seed: 4711 + round })
    const noise = mutated.map((_frame, i) =>
      slice(815, ((round * batch + i) * 997) % 1_000_000, 14 + ((i * 97) % 1500)),
    )
    await deliver(passt, [...mutated, ...noise])
    await settled()
    memory.push(residentMemory(passt.pid))
  }
  // Warm after the first three: pools are filled, and code is compiled.
  expect(memory.at(-1)).toBeLessThan((memory[2] ?? 0) + 32 * 1024)
  await servesARealGuest(passt)
  await endsWell(passt)
}, 240_000)

const length = fc.oneof(
  fc.constantFrom(0, 1, 13, 14, 42, 60, 1514, 65_534, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
  fc.nat(70_000),
)

/** A piece of the stream: a frame, one whose length is a lie, one that is cut short, or just bytes. */
const piece = fc.oneof(
  { weight: 3, arbitrary: mutatedFrame.map(framed) },
  fc.tuple(length, mutatedFrame).map(([lie, frame]) => {
    const bytes = framed(frame)
    bytes.writeUInt32BE(lie)
    return bytes
  }),
  fc.tuple(fc.nat(200), mutatedFrame).map(([cut, frame]) => framed(frame).subarray(0, cut)),
  fc.uint8Array({ minLength: 1, maxLength: 5000 }).map((bytes) => Buffer.from(bytes)),
)

test("mutated streams end connections at most", async () => {
  const passt = await Passt.start(topology)
  const before = descriptors(passt.pid).length
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 20 }), async (pieces) => {
      const hypervisor = await Hypervisor.connect(passt.socket)
      for (const bytes of pieces) await hypervisor.send(bytes)
      await hypervisor.disconnect()
      expect(passt.program.ended).toBe(false)
    }),
    { numRuns: 300, seed: 20_240_520, endOnFailure: true },
  )
  await eventually("the descriptors of connections are closed", () =>
    descriptors(passt.pid).length <= before ? true : undefined,
  )
  await servesARealGuest(passt)
  await endsWell(passt)
}, 120_000)

test("connecting and disconnecting leaves nothing behind", async () => {
  const passt = await Passt.start(topology)
  const before = descriptors(passt.pid).length
  for (let round = 0; round < 200; round++) {
    const first = await Hypervisor.connect(passt.socket)
    // Every other time it has been greeted before it goes, and somebody else has been refused.
    if (round % 2 === 1) {
      await first.settle()
      await (await Hypervisor.connect(passt.socket)).closed
    }
    await first.disconnect()
  }
  await eventually("the descriptors of connections are closed", () =>
    descriptors(passt.pid).length <= before ? true : undefined,
  )
  await servesARealGuest(passt)
  await endsWell(passt)
})
