import { setImmediate } from "node:timers/promises"
import { type FrontendUnderTest, frontendCompliance } from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { F, Machine, type MachineOptions, USUAL } from "./test-support/machine.ts"

/** A guest that takes what comes, and sends as its ring allows. */
function complianceSetup(features: bigint, options: MachineOptions, isSlow: boolean): FrontendUnderTest {
  const machine = new Machine({ ...options, spare: 2 << 20, entries: 64, bufferBytes: isSlow ? 1024 : 2048 })
  const isMerged = (features & F.MRG_RXBUF) !== 0n
  machine.takesFrames = false
  machine.start(features)
  const { toGuest, fromGuest, link } = machine
  const waiting: Uint8Array[] = []
  const push = (): void => {
    fromGuest.collect()
    while (waiting.length > 0 && fromGuest.free * fromGuest.places.bufferBytes > waiting[0].length + 4_096) {
      fromGuest.offerFrame(Buffer.concat([Buffer.alloc(link.headerBytes), waiting.shift() as Uint8Array]))
    }
    fromGuest.notify()
  }
  const refill = (): void => {
    const most = isSlow ? 3 : toGuest.places.entries
    for (let count = 0; count < most && toGuest.free > 0; count++) toGuest.offerBuffer()
    toGuest.notify()
  }
  refill()
  return {
    link,
    send(frames) {
      waiting.push(...frames)
      push()
    },
    receive() {
      const frames = toGuest.collectFrames(isMerged).map((frame) => new Uint8Array(frame.subarray(link.headerBytes)))
      refill()
      return frames
    },
    turn() {
      push()
      machine.turn(1)
      return setImmediate()
    },
    close: () => machine.close(),
  }
}

describe("a vhost-user link whose guest keeps up", () => {
  frontendCompliance(() => complianceSetup(USUAL, {}, false))
})
describe("a vhost-user link whose guest is slow, has small buffers, and uses event indices", () => {
  frontendCompliance(() => complianceSetup(USUAL | F.EVENT_IDX, { mtu: 9_000, backlogBytes: 80_000 }, true))
})
describe("a vhost-user link to a driver older than virtio 1", () => {
  frontendCompliance(() => complianceSetup(F.EVENT_IDX, { mtu: 1_500 }, false))
})
