/**
 * Goodput by loss and delay, in virtual time: a table that is committed, so that a change of congestion control, of
 * retransmission or of acknowledgements shows as a difference. `npx vitest run --project tcp goodput -u` writes it
 * anew.
 */
import { GuestTcp, type MemoryStack, type MemoryStackOptions, memoryStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { tcp } from "./index.ts"

type Faults = NonNullable<MemoryStackOptions["toGuest"]>

/** Frames lost, of 100, in the direction of the payload. Nothing else is lost. */
const LOSSES = [0, 0.1, 0.5, 1, 2, 5, 10]
/** Milliseconds in each direction. */
const DELAYS = [1, 10, 30, 100]
const SEEDS = [1, 2, 3]
const BYTES = 1 << 20
const RECEIVE_BUFFER = 512 << 10
/** Milliseconds after which a transfer is measured by what has arrived. */
const LIMIT = 60_000

/** Runs one transfer. Returns the bytes that arrived, and the milliseconds that took. */
type Transfer = (memory: MemoryStack, guest: GuestTcp) => { readonly bytes: number; readonly milliseconds: number }

const toGuest: Transfer = (memory, guest) => {
  memory.sockets.world.listen(80, (connection) => {
    connection.write(new Uint8Array(BYTES))
    connection.end()
  })
  const connection = guest.connect({ address: "198.51.100.7", port: 80, receiveBuffer: RECEIVE_BUFFER, windowScale: 7 })
  return measured(memory, () => connection.receivedLength)
}

const fromGuest: Transfer = (memory, guest) => {
  let bytes = 0
  memory.sockets.world.listen(80, (connection) => {
    connection.onData = (data) => {
      bytes += data.length
    }
  })
  const connection = guest.connect({ address: "198.51.100.7", port: 80, windowScale: 7 })
  connection.write(new Uint8Array(BYTES))
  connection.end()
  return measured(memory, () => bytes)
}

function measured(memory: MemoryStack, arrived: () => number): { bytes: number; milliseconds: number } {
  const begun = memory.clock.now
  memory.runUntil(() => arrived() === BYTES, LIMIT)
  return { bytes: arrived(), milliseconds: memory.clock.now - begun }
}

/** Returns bytes per millisecond, over all seeds. */
function goodput(transfer: Transfer, toFaults: (faults: Faults) => object, loss: number, delay: number): number {
  let bytes = 0
  let milliseconds = 0
  for (const seed of SEEDS) {
    const memory = memoryStack([tcp({ holdPoolSize: 1 << 20 })], {
      seed,
      fromGuest: { delay },
      toGuest: { delay },
      ...toFaults({ loss: loss / 100, delay }),
    })
    const guest = new GuestTcp(memory.guest, { acknowledgementDelay: 40 })
    const result = transfer(memory, guest)
    expect(guest.violations).toEqual([])
    bytes += result.bytes
    milliseconds += result.milliseconds
  }
  return bytes / milliseconds
}

function table(transfer: Transfer, toFaults: (faults: Faults) => object): string {
  const rows = LOSSES.map((loss) => {
    const cells = DELAYS.map((delay) => goodput(transfer, toFaults, loss, delay).toFixed(0).padStart(9))
    return `${`${loss} %`.padStart(7)}${cells.join("")}`
  })
  const head = `   loss${DELAYS.map((delay) => `${delay} ms`.padStart(9)).join("")}`
  return [head, ...rows].join("\n")
}

test("goodput by loss and delay is as recorded", async () => {
  const text = [
    "Goodput of one connection, bytes per millisecond, by loss of frames and by delay in each direction.",
    "To the guest:",
    table(toGuest, (faults) => ({ toGuest: faults })),
    "From the guest:",
    table(fromGuest, (faults) => ({ fromGuest: faults })),
    "",
  ].join("\n\n")
  await expect(text).toMatchFileSnapshot("goodput.snapshot.txt")
}, 600_000)
