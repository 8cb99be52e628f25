import { Address, Arena, CHECKSUM_DONE, Demiflow, type Guest, Interface } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { IcmpErrors } from "./icmp-error.ts"

const TRANSPORT = 1024
const QUOTE = 4096

/** A guest that keeps one packet at a time, with what was requested of it. */
function setUp(transportOffset = TRANSPORT) {
  const arena = new Arena(16_384)
  for (let index = 0; index < 2048; index++) arena.bytes[QUOTE + index] = index * 7
  const begun: { demiflow: string; protocol: number; room: number; hopLimit: number | undefined }[] = []
  const ended: { length: number; checksumOffset: number; bytes: Uint8Array }[] = []
  const guest = {
    begin: (demiflow: Demiflow, protocol: number, room: number, hopLimit?: number) => {
      begun.push({ demiflow: demiflow.toString(), protocol, room, hopLimit })
      return transportOffset
    },
    end: (offset: number, length: number, checksumOffset: number) => {
      ended.push({ length, checksumOffset, bytes: arena.bytes.slice(offset, offset + length) })
    },
  } as unknown as Guest
  return { arena, errors: new IcmpErrors(arena, guest), begun, ended }
}

const tap4 = Demiflow.of(Interface.tap, Address.parse("198.51.100.7"), 53, Address.parse("192.0.2.2"), 4000)
const tap6 = Demiflow.of(Interface.tap, Address.parse("2001:db8::7"), 53, Address.parse("2001:db8:1::2"), 4000)
const router4 = Address.parse("203.0.113.1")
const router6 = Address.parse("2001:db8:2::1")

describe("IPv4", () => {
  test("the packet is quoted from its IP header on, from the reporter to the packet's sender", () => {
    const { arena, errors, begun, ended } = setUp()
    errors.send(tap4, 3, 4, 1400, router4, 17, QUOTE, 100, 2000)
    expect(begun).toEqual([
      { demiflow: "tap 203.0.113.1:0 → 192.0.2.2:0", protocol: 1, room: ended[0].length, hopLimit: 64 },
    ])
    const { bytes, checksumOffset, length } = ended[0]
    expect([length, checksumOffset]).toEqual([8 + 20 + 100, CHECKSUM_DONE])
    const view = new DataView(bytes.buffer)
    expect([bytes[0], bytes[1], view.getUint32(4)]).toEqual([3, 4, 1400])
    expect(arena.sum(TRANSPORT, length, 0)).toBe(0xffff)
    // The quoted header: 45 …, the original total length, UDP, the guest as source.
    expect([bytes[8], view.getUint16(10), bytes[17]]).toEqual([0x45, 20 + 2000, 17])
    expect([...bytes.slice(20, 28)]).toEqual([192, 0, 2, 2, 198, 51, 100, 7])
    expect(arena.sum(TRANSPORT + 8, 20, 0)).toBe(0xffff)
    expect(bytes.slice(28)).toEqual(arena.bytes.slice(QUOTE, QUOTE + 100))
  })

  // RFC 1812 4.3.2.3
  test("the whole error has 576 bytes at most", () => {
    const { errors, ended } = setUp()
    errors.send(tap4, 3, 3, 0, router4, 17, QUOTE, 2000, 2000)
    expect(20 + ended[0].length).toBe(576)
  })

  test("nothing of an earlier use of the memory shows", () => {
    const { arena, errors, ended } = setUp()
    arena.bytes.fill(0xff, TRANSPORT, TRANSPORT + 64)
    errors.send(tap4, 11, 0, 0, router4, 17, QUOTE, 8, 8)
    const bytes = ended[0].bytes
    // Type of service, identification, flags and offset.
    expect([bytes[9], bytes[12], bytes[13], bytes[14], bytes[15]]).toEqual([0, 0, 0, 0, 0])
    expect(arena.sum(TRANSPORT, ended[0].length, 0)).toBe(0xffff)
  })
})

describe("IPv6", () => {
  test("the packet is quoted, and the checksum left to the guest layer", () => {
    const { arena, errors, begun, ended } = setUp()
    arena.bytes.fill(0xff, TRANSPORT, TRANSPORT + 64)
    errors.send(tap6, 2, 0, 1280, router6, 17, QUOTE, 100, 3000)
    expect(begun[0]).toMatchObject({ demiflow: "tap [2001:db8:2::1]:0 → [2001:db8:1::2]:0", protocol: 58 })
    const { bytes, checksumOffset, length } = ended[0]
    expect([length, checksumOffset]).toEqual([8 + 40 + 100, 2])
    const view = new DataView(bytes.buffer)
    expect([bytes[0], bytes[1], view.getUint16(2), view.getUint32(4)]).toEqual([2, 0, 0, 1280])
    expect([view.getUint32(8), view.getUint16(12), bytes[14]]).toEqual([0x6000_0000, 3000, 17])
    expect(Address.fromBytes(bytes.slice(16, 32)).toString()).toBe("2001:db8:1::2")
    expect(Address.fromBytes(bytes.slice(32, 48)).toString()).toBe("2001:db8::7")
    expect(bytes.slice(48)).toEqual(arena.bytes.slice(QUOTE, QUOTE + 100))
  })

  // RFC 4443 2.4 (quote)
  test("the whole error has 1,280 bytes at most", () => {
    const { errors, ended } = setUp()
    errors.send(tap6, 1, 4, 0, router6, 17, QUOTE, 2000, 2000)
    expect(40 + ended[0].length).toBe(1280)
  })
})

describe("about a packet at hand", () => {
  test.each([
    ["IPv4", tap4, 576 - 28, CHECKSUM_DONE],
    ["IPv6", tap6, 1280 - 48, 2],
  ])("over %s, it is quoted as it came, in the name of the address asked", (_, tap, most, checksum) => {
    const { arena, errors, begun, ended } = setUp()
    for (const length of [60, 2000]) errors.sendAbout(tap, 4, 1, 46, QUOTE, QUOTE + length)
    const asked = `${tap.forwardingAddress}`
    for (const [index, quoted] of [60, most].entries()) {
      const { bytes, length, checksumOffset } = ended[index]
      expect(begun[index].demiflow.replace(/[[\]]/g, "")).toContain(`tap ${asked}:0 → `)
      expect([length, checksumOffset]).toEqual([8 + quoted, checksum])
      expect([bytes[0], bytes[1], new DataView(bytes.buffer).getUint32(4)]).toEqual([4, 1, 46])
      expect(bytes.slice(8)).toEqual(arena.bytes.slice(QUOTE, QUOTE + quoted))
    }
  })
})

describe("no error is sent", () => {
  test.each([
    // RFC 1122 3.2.2
    ["about a packet to a group", "224.0.0.251", "192.0.2.2"],
    ["about a packet from nowhere", "198.51.100.7", "0.0.0.0"],
    ["to a group", "198.51.100.7", "224.0.0.1"],
    ["to everybody", "198.51.100.7", "255.255.255.255"],
    // RFC 4443 2.4
    ["about a packet to an IPv6 group", "ff02::fb", "2001:db8::1"],
    ["about an IPv6 packet from nowhere", "2001:db8::1", "::"],
  ])("%s (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e))", (_, forwarding, correspondent) => {
    const { errors, begun } = setUp()
    const demiflow = Demiflow.of(Interface.tap, Address.parse(forwarding), 0, Address.parse(correspondent), 0)
    errors.send(demiflow, 3, 3, 0, demiflow.isV4 ? router4 : router6, 17, QUOTE, 8, 8)
    expect(begun).toEqual([])
  })

  test("when there is no room", () => {
    const { errors, begun, ended } = setUp(-1)
    errors.send(tap4, 3, 3, 0, router4, 17, QUOTE, 8, 8)
    expect([begun.length, ended.length]).toEqual([1, 0])
  })
})
