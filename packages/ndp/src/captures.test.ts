import { Address } from "@demiflow/core"
import { build, check, memoryStack, payload, type ScriptedGuest } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { type NdpCapture, OWN_ADDRESSES, ROUTER_SOLICITATIONS } from "./captures.fixture.ts"
import { ndp } from "./index.ts"

function setUp(guestAddress: string) {
  const memory = memoryStack([
    ndp({ guestAddress: Address.parse(guestAddress), routerAdvertisement: { prefix: Address.parse("2001:db8::2") } }),
  ])
  memory.guest.takeAll()
  return memory
}

/** Sends the message unchanged, with its checksum. */
function send(guest: ScriptedGuest, { source, destination, message }: NdpCapture): void {
  const bytes = Buffer.from(message, "hex")
  guest.send(
    build.ethernet({ source: "00:00:5e:00:53:02" }),
    build.ipv6({ source, target: destination, hopLimit: 255 }),
    build.icmpv6({
      type: bytes[0],
      code: bytes[1],
      checksum: bytes.readUInt16BE(2),
      information: bytes.readInt32BE(4),
    }),
    payload(new Uint8Array(bytes.subarray(8))),
  )
}

describe("router solicitations are answered to the station that asked", () => {
  test.each(Object.entries(ROUTER_SOLICITATIONS))("%s", (_name, capture) => {
    const { guest, drops } = setUp("2001:db8::2")
    send(guest, capture)
    const frame = guest.expect(
      check.ethernet({ target: (mac) => String(mac) === "00:00:5e:00:53:02" }),
      check.ipv6({ target: Address.parse(capture.source), hopLimit: 255 }),
      check.icmp({ type: 134, code: 0 }),
    )
    expect([frame.problems, drops.total]).toEqual([[], 0])
    guest.expectNothing()
  })
})

describe("a client takes its addresses undisturbed, and they are its own from then on", () => {
  test.each(Object.entries(OWN_ADDRESSES))("%s", (_name, capture) => {
    const { guest, drops } = setUp("2001:db8::99")
    send(guest, capture)
    guest.expectNothing()
    guest.send(
      build.ipv6({ source: "fe80::77", target: "ff02::1:ff00:77", hopLimit: 255 }),
      build.icmpv6({ type: 135 }),
      payload(Address.parse(capture.address).toBytes()),
    )
    guest.expectNothing()
    expect(drops.total).toBe(0)
  })
})
