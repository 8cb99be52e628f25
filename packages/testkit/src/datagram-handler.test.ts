import type { Components, Demiflow, Observer } from "@demiflow/core"
import { DatagramHandler } from "@demiflow/protocol-kit"
import { expect, test } from "vitest"
import { build, check, memoryStack, payload } from "./index.ts"

const PROTOCOL = 253
const HEADER_LENGTH = 4
const IDLE_TIMEOUT = 1_000
const GUEST = "192.0.2.2"
const SERVER = "198.51.100.7"

/** A protocol whose header is the two ports. */
class Notes extends DatagramHandler {
  constructor(components: Components) {
    super(components, { name: "notes", protocol: PROTOCOL, headerLength: HEADER_LENGTH, idleTimeout: IDLE_TIMEOUT })
  }

  protected override writeHeader(offset: number, { forwardingPort, correspondentPort }: Demiflow): void {
    const { view } = this.components.arena
    view.setUint16(offset, forwardingPort)
    view.setUint16(offset + 2, correspondentPort)
  }
}

test("a datagram handler reports packets and bytes of payload each way, for each flow", () => {
  const totals = new Map<number, unknown>()
  const observer: Observer = {
    closed: ({ initiating }, _end, carried) => totals.set(initiating.forwardingPort, carried),
  }
  const memory = memoryStack([(components) => new Notes(components)], { observers: [observer] })
  for (const port of [7, 9]) {
    memory.sockets.world.receive({ address: SERVER, port }, ({ text, reply }) => {
      if (text !== "") for (const answer of [text, `${text}, again`]) reply(answer)
    })
  }
  /** From one port of the guest's: flows share a socket. */
  const send = (port: number, text: string) => {
    const ports = Uint8Array.of(0x9c, 0x40, 0, port)
    memory.guest.send(build.ip(GUEST, SERVER, 64, PROTOCOL), payload(ports), payload(text))
  }
  for (const text of ["one", "three", ""]) send(7, text)
  send(9, "x".repeat(1_000))
  memory.run()
  for (const text of ["one", "one, again", "three", "three, again"]) {
    const { payload: bytes } = memory.guest.expect(check.ip({ source: SERVER, protocol: PROTOCOL }))
    expect(String.fromCharCode(...bytes.subarray(HEADER_LENGTH))).toBe(text)
  }
  memory.run(2 * IDLE_TIMEOUT)
  expect(Object.fromEntries(totals)).toEqual({
    7: { packetsFromGuest: 3, bytesFromGuest: 8, packetsToGuest: 4, bytesToGuest: 30 },
    9: { packetsFromGuest: 1, bytesFromGuest: 1_000, packetsToGuest: 2, bytesToGuest: 2_007 },
  })
})
