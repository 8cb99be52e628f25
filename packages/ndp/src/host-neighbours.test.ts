import { Address, Demiflow, Interface, MacAddress } from "@demiflow/core"
import { check } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { ALL_NODES, GATEWAY, GUEST, LINK_LOCAL, NA, NS, RA, setUp } from "./test-support.ts"

describe("neighbours of the host", () => {
  const NEIGHBOUR = "2001:db8::77"
  const MAC = MacAddress.parse("02:00:00:00:00:77")
  const OTHER_MAC = MacAddress.parse("02:00:00:00:00:78")

  function withNeighbour() {
    const memory = setUp({ routerAdvertisement: {} })
    const { guest, tap, solicit } = memory
    solicit(GATEWAY)
    guest.takeAll()
    const notice = (address: string, mac: MacAddress) => tap.hostNeighbours.notice(Address.parse(address), mac)
    /** Returns the neighbour advertisements: destination, Ethernet source, flags, target and its Ethernet address. */
    const sent = () => {
      tap.flush()
      return guest.takeAll().map((frame) => {
        expect([frame.problems, frame.icmp?.type, frame.ip?.hopLimit]).toEqual([[], NA, 255])
        const of = Address.fromBytes(frame.payload.slice(0, 16))
        const [type, length, ...mac] = frame.payload.slice(16)
        expect([type, length]).toEqual([2, 1])
        const flags = ((frame.icmp?.information ?? 0) >>> 24).toString(16)
        const at = mac.map((byte) => byte.toString(16).padStart(2, "0")).join(":")
        return `${frame.ethernet?.source} to ${frame.ip?.target}: ${of} at ${at}, ${flags}`
      })
    }
    const asked = (address: string) => {
      solicit(address)
      return sent()
    }
    return { ...memory, notice, sent, asked }
  }

  // RFC 4861 7.2.6
  test("are found at their own Ethernet addresses, and advertised to all (RFC 4861, section 7.2.6)", () => {
    const { notice, sent, asked, tap } = withNeighbour()
    notice(NEIGHBOUR, MAC)
    expect(sent()).toEqual([`${tap.ourMac} to ${ALL_NODES}: ${NEIGHBOUR} at ${MAC}, a0`])
    expect(asked(NEIGHBOUR)).toEqual([`${tap.ourMac} to ${LINK_LOCAL}: ${NEIGHBOUR} at ${MAC}, e0`])
    notice(NEIGHBOUR, OTHER_MAC)
    expect(sent()).toEqual([`${tap.ourMac} to ${ALL_NODES}: ${NEIGHBOUR} at ${OTHER_MAC}, a0`])
    notice(NEIGHBOUR, OTHER_MAC)
    expect(sent()).toEqual([])
  })

  test("that have an address of the guest's are neither advertised nor answered for", () => {
    const { notice, sent, asked, detect } = withNeighbour()
    notice(GUEST, MAC)
    detect("2001:db8::9")
    expect(sent()).toEqual([])
    notice("2001:db8::9", MAC)
    expect([sent(), asked(GUEST), asked("2001:db8::9")]).toEqual([[], [], []])
  })

  test("that have our link-local address, as a gateway may, speak with one Ethernet address in all messages", () => {
    const { notice, sent, asked, guest, tap, send, memory } = withNeighbour()
    const ours = String(tap.ourLinkLocal)
    notice(ours, MAC)
    expect(sent()).toEqual([`${MAC} to ${ALL_NODES}: ${ours} at ${MAC}, a0`])
    expect(asked(ours)).toEqual([`${MAC} to ${LINK_LOCAL}: ${ours} at ${MAC}, e0`])
    const bytes = MAC.toString().replaceAll(":", "")
    send([])
    const router = guest.expect(check.icmp({ type: RA }))
    expect([String(router.ethernet?.source), Buffer.from(router.payload).toString("hex")]).toEqual([
      String(MAC),
      expect.stringContaining(`0101${bytes}`),
    ])
    tap.begin(Demiflow.of(Interface.tap, Address.parse(GATEWAY), 1, Address.parse("2001:db8::99"), 2), 17, 8)
    memory.tap.flush()
    const question = guest.expect(check.icmp({ type: NS }))
    expect(Buffer.from(question.payload).toString("hex")).toMatch(new RegExp(`0101${bytes}$`))
  })
})
