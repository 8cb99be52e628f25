import { Address, type InterfaceAddress, type Route } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { parseInterfaceAddress, writeInterfaceAddress } from "./addresses.ts"
import { MessageType, NetlinkFlag } from "./constants.ts"
import { ADDRESSES, LINKS, ROUTES_V4, ROUTES_V6 } from "./dumps.fixture.ts"
import { parseLink, writeLinkChanges } from "./links.ts"
import { attributes, type Message, MessageWriter, messages } from "./message.ts"
import { parseRoute, writeRoute, writeRouteQuery } from "./routes.ts"

function parseAll<Item>(bytes: Uint8Array, parse: (view: DataView, message: Message) => Item | undefined): Item[] {
  const view = viewOf(bytes)
  const items: Item[] = []
  for (const message of messages(view, 0, bytes.length)) {
    if (message.type === MessageType.done) break
    const item = parse(view, message)
    if (item !== undefined) items.push(item)
  }
  return items
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

function write(fill: (writer: MessageWriter) => void): Uint8Array {
  const bytes = new Uint8Array(4096).fill(0xee)
  const writer = new MessageWriter(viewOf(bytes), 0, bytes.length)
  writer.begin(MessageType.newRoute, NetlinkFlag.request)
  fill(writer)
  return bytes.subarray(0, writer.finish(7))
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
const describeAddress = (entry: InterfaceAddress) =>
  `${entry.interfaceIndex} ${entry.address}/${entry.prefixLength} scope ${entry.scope} flags ${entry.flags}${
    entry.pointToPoint === undefined ? "" : ` to ${entry.pointToPoint}`
  }`
const describeRoute = (route: Route) =>
  [
    `${route.prefix ?? "default"}/${route.prefixLength} type ${route.type} table ${route.table}`,
    `protocol ${route.protocol} scope ${route.scope} metric ${route.metric} source ${route.preferredSource}`,
    ...route.nextHops.map(
      (hop) => `via ${hop.gateway} dev ${hop.interfaceIndex} weight ${hop.weight} flags ${hop.flags}`,
    ),
  ].join(", ")

describe("a list of interfaces", () => {
  it("is read from a real dump", () => {
    const links = parseAll(LINKS, parseLink)
    expect(links.map((link) => ({ ...link, macAddress: link.macAddress?.toString() }))).toEqual([
      { index: 1, name: "lo", macAddress: "00:00:00:00:00:00", mtu: 65536, isUp: true, isLoopback: true },
      { index: 2, name: "far0", macAddress: "9a:55:9a:55:9b:01", mtu: 1500, isUp: true, isLoopback: false },
      { index: 3, name: "wan0", macAddress: "9a:55:9a:55:9a:01", mtu: 1500, isUp: true, isLoopback: false },
      { index: 4, name: "far1", macAddress: "9a:55:9a:55:9b:02", mtu: 9000, isUp: false, isLoopback: false },
      { index: 5, name: "wan1", macAddress: "9a:55:9a:55:9a:02", mtu: 9000, isUp: true, isLoopback: false },
      { index: 6, name: "tun9", macAddress: undefined, mtu: 1500, isUp: true, isLoopback: false },
    ])
  })
})

describe("a list of addresses", () => {
  it("is read from a real dump", () => {
    expect(parseAll(ADDRESSES, parseInterfaceAddress).map(describeAddress)).toEqual([
      "1 127.0.0.1/8 scope 254 flags 128",
      "3 192.0.2.10/24 scope 0 flags 128",
      "3 192.0.2.11/24 scope 0 flags 129",
      "5 198.51.100.5/25 scope 0 flags 128",
      "6 10.9.0.1/32 scope 0 flags 128 to 10.9.0.2",
      "1 ::1/128 scope 254 flags 128",
      "2 fe80::9855:9aff:fe55:9b01/64 scope 253 flags 128",
      "3 2001:db8:1::10/64 scope 0 flags 130",
      "3 fe80::9855:9aff:fe55:9a01/64 scope 253 flags 128",
      "5 2001:db8:2::10/64 scope 0 flags 162",
    ])
  })

  it("comes back from what is written", () => {
    for (const entry of parseAll(ADDRESSES, parseInterfaceAddress)) {
      const [back] = parseAll(
        write((writer) => writeInterfaceAddress(writer, entry)),
        parseInterfaceAddress,
      )
      expect(back).toEqual(entry)
    }
  })

  it("gets the broadcast address of the subnet", () => {
    const entry = { interfaceIndex: 3, address: Address.parse("192.0.2.10"), prefixLength: 26, scope: 0, flags: 0x200 }
    expect(hex(write((writer) => writeInterfaceAddress(writer, entry)))).toBe(
      [
        "38000000" + "1800" + "0100" + "07000000" + "00000000",
        "02" + "1a" + "00" + "00" + "03000000",
        "0800" + "0200" + "c000020a",
        "0800" + "0100" + "c000020a",
        "0800" + "0400" + "c000023f",
        "0800" + "0800" + "00020000",
      ].join(""),
    )
  })
})

describe("a list of routes", () => {
  it("is read from a real dump, IPv4", () => {
    const routes = parseAll(ROUTES_V4, parseRoute)
    expect(routes.filter(({ table }) => table !== 255).map(describeRoute)).toEqual([
      "203.0.116.0/24 type 1 table 1000, protocol 3 scope 253 metric undefined source undefined, via undefined dev 3 weight 1 flags 0",
      "default/0 type 1 table 254, protocol 3 scope 0 metric 100 source 192.0.2.11, via 192.0.2.1 dev 3 weight 3 flags 0, via 198.51.100.1 dev 5 weight 7 flags 16",
      "10.9.0.2/32 type 1 table 254, protocol 2 scope 253 metric undefined source 10.9.0.1, via undefined dev 6 weight 1 flags 16",
      "192.0.2.0/24 type 1 table 254, protocol 2 scope 253 metric undefined source 192.0.2.10, via undefined dev 3 weight 1 flags 0",
      "198.51.100.0/25 type 1 table 254, protocol 2 scope 253 metric undefined source 198.51.100.5, via undefined dev 5 weight 1 flags 16",
      "203.0.113.0/24 type 1 table 254, protocol 16 scope 0 metric 1002 source undefined, via 10.254.0.1 dev 3 weight 1 flags 4",
      "203.0.114.0/24 type 1 table 254, protocol 3 scope 0 metric undefined source undefined, via fe80::1 dev 5 weight 1 flags 0",
      "203.0.115.0/24 type 7 table 254, protocol 3 scope 0 metric undefined source undefined",
    ])
    expect(routes.filter(({ table }) => table === 255)).toHaveLength(9)
  })

  it("is read from a real dump, IPv6", () => {
    const routes = parseAll(ROUTES_V6, parseRoute)
    expect(routes.every(({ isV4 }) => !isV4)).toBe(true)
    expect(routes.map(describeRoute)).toContain(
      "default/0 type 1 table 254, protocol 3 scope 0 metric 1024 source undefined, via fe80::1 dev 3 weight 1 flags 0, via fe80::2 dev 5 weight 2 flags 16",
    )
    expect(routes.map(describeRoute)).toContain(
      "2001:db8:9::/48 type 1 table 254, protocol 4 scope 0 metric 1024 source undefined, via 2001:db8:1::1 dev 3 weight 1 flags 0",
    )
  })

  it("comes back from what is written", () => {
    const routes = [...parseAll(ROUTES_V4, parseRoute), ...parseAll(ROUTES_V6, parseRoute)]
    expect(routes.length).toBeGreaterThan(20)
    for (const route of routes) {
      expect(
        parseAll(
          write((writer) => writeRoute(writer, route)),
          parseRoute,
        ),
      ).toEqual([route])
    }
  })

  it("leaves out what was learnt for one destination", () => {
    const [, route] = parseAll(ROUTES_V4, parseRoute)
    const bytes = write((writer) => writeRoute(writer, route))
    viewOf(bytes).setUint32(16 + 8, 0x200, true)
    expect(parseAll(bytes, parseRoute)).toEqual([])
  })

  it("is asked for by table", () => {
    expect(hex(write((writer) => writeRouteQuery(writer, false, 1000)))).toBe(
      "24000000" +
        "1800" +
        "0100" +
        "07000000" +
        "00000000" +
        "0a00000000000000" +
        "00000000" +
        "0800" +
        "0f00" +
        "e8030000",
    )
  })
})

describe("changes of an interface", () => {
  it("leave alone what isn't given", () => {
    expect(hex(write((writer) => writeLinkChanges(writer, 2, { mtu: 1400 })))).toBe(
      "28000000" +
        "1800" +
        "0100" +
        "07000000" +
        "00000000" +
        "0000000002000000" +
        "00000000" +
        "00000000" +
        "0800" +
        "0400" +
        "78050000",
    )
    expect(hex(write((writer) => writeLinkChanges(writer, 2, { isUp: false })))).toBe(
      "20000000" + "1800" + "0100" + "07000000" + "00000000" + "0000000002000000" + "00000000" + "01000000",
    )
  })
})

describe("malformed answers", () => {
  it("end the list where a length makes no sense, and are never read beyond their end", () => {
    for (const dump of [LINKS, ADDRESSES, ROUTES_V4, ROUTES_V6]) {
      for (let length = 0; length < 600; length++) {
        const view = new DataView(Uint8Array.from(dump.subarray(0, length)).buffer)
        for (const message of messages(view, 0, length)) {
          parseLink(view, message)
          parseInterfaceAddress(view, message)
          parseRoute(view, message)
        }
      }
    }
  })

  it("may have any byte changed", () => {
    for (const [dump, parse] of [
      [LINKS, parseLink],
      [ADDRESSES, parseInterfaceAddress],
      [ROUTES_V4, parseRoute],
    ] as const) {
      const bytes = Uint8Array.from(dump.subarray(0, 1500))
      for (let at = 0; at < bytes.length; at++) {
        const kept = bytes[at]
        for (const value of [0, 1, 3, 5, 0x7f, 0xff]) {
          bytes[at] = value
          parseAll<unknown>(bytes, parse)
        }
        bytes[at] = kept
      }
    }
  })

  it("have attributes of which the last of one type counts", () => {
    const bytes = Uint8Array.from([5, 0, 1, 0x80, 9, 0, 0, 0, 5, 0, 1, 0, 8, 0, 0, 0, 3, 0, 2, 0])
    expect([...attributes(viewOf(bytes), 0, bytes.length)]).toEqual([[1, { offset: 12, end: 13 }]])
  })
})

describe("a message that outgrows its buffer", () => {
  it("throws", () => {
    const writer = new MessageWriter(new DataView(new ArrayBuffer(64)), 0, 24)
    writer.begin(1, 0)
    expect(() => writer.attributeUint32(1, 1).attributeUint32(2, 2)).toThrow(RangeError)
  })
})
