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
useServer("tcp-server", topology)
useServer("udp-server", topology)

/** Bytes of the longest frame that ends no connection, whatever the MTU. */
const LONGEST = 65_535

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

/**
 * Connects, and sends a first frame of this station. Retries while passt has not yet seen the previous connection end.
 */
async function welcome(passt: Passt, station = 1): Promise<Hypervisor> {
  return eventually("passt takes a hypervisor", async () => {
    const hypervisor = await Hypervisor.connect(passt.socket)
    const greeted = hypervisor.settle(123, station).then(() => hypervisor)
    return greeted.catch(() => undefined)
  })
}

/**
 * Returns a function that has another guest come and go, which ends the flows of the one before, and waits until they
 * are closed.
 */
async function watchDescriptors(passt: Passt): Promise<() => Promise<unknown>> {
  const count = () => descriptors(passt.pid).length
  const hypervisor = await Hypervisor.connect(passt.socket)
  await hypervisor.settle()
  const idle = count() - 1
  await hypervisor.disconnect()
  let station = 0x10000
  const settled = async () => {
    await (await welcome(passt, ++station)).disconnect()
    await eventually("descriptors are as before", () => (count() <= idle ? true : undefined))
  }
  await settled()
  return settled
}

/** Sends these frames over a connection of their own, and checks that passt has handled all of them. */
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
  const settled = await watchDescriptors(passt)
  const memory: number[] = []
  const batch = 10_000
  for (let round = 0; round < 10; round++) {
    // Half of them are nearly valid, half random bytes.
    const mutated = fc
      .sample(mutatedFrame, { numRuns: batch / 2, seed: 4711 + round })
      .map((frame) => frame.subarray(0, LONGEST))
    const noise = mutated.map((_frame, i) =>
      slice(815, ((round * batch + i) * 997) % 1_000_000, 14 + ((i * 97) % 1500)),
    )
    await deliver(passt, [...mutated, ...noise])
    await settled()
    memory.push(residentMemory(passt.pid))
  }
  // The first three warm up: they fill pools and have code compiled.
  expect(memory.at(-1)).toBeLessThan((memory[2] ?? 0) + 16 * 1024)
  await servesARealGuest(passt)
  await endsWell(passt)
}, 240_000)

const length = fc.oneof(
  fc.constantFrom(0, 1, 13, 14, 42, 60, 1514, 65_534, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
  fc.nat(70_000),
)

/** A piece of the stream: a frame, one with a wrong length, one that is cut short, or random bytes. */
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
  const settled = await watchDescriptors(passt)
  let streams = 0
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 20 }), async (pieces) => {
      const hypervisor = await welcome(passt)
      for (const bytes of pieces) await hypervisor.send(bytes)
      await hypervisor.disconnect()
      if (++streams % 10 === 0) await settled()
      expect(passt.program.ended).toBe(false)
    }),
    { numRuns: 300, seed: 20_240_520, endOnFailure: true },
  )
  await servesARealGuest(passt)
  await endsWell(passt)
})

test("connecting and disconnecting leaves nothing behind", async () => {
  const passt = await Passt.start(topology)
  const settled = await watchDescriptors(passt)
  for (let round = 0; round < 100; round++) {
    // One that is gone before it is accepted, and one that stays until another has been refused.
    await (await Hypervisor.connect(passt.socket)).disconnect()
    const first = await welcome(passt)
    await (await Hypervisor.connect(passt.socket)).closed
    await first.settle()
    await first.disconnect()
    if (round % 10 === 9) await settled()
  }
  await servesARealGuest(passt)
  await endsWell(passt)
})
