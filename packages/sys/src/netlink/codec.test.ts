import { Address, type InterfaceAddress, type Route } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { parseInterfaceAddress, writeInterfaceAddress } from "./addresses.ts"
import {
  ADDRESSES_WITH_ATTRIBUTES,
  ROUTES_V4_WITH_ATTRIBUTES,
  ROUTES_V6_WITH_ATTRIBUTES,
} from "./attributes.fixture.ts"
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

  it("keeps metrics of prefix routes, the other end and the broadcast address, but neither labels nor lifetimes", () => {
    const details = parseAll(ADDRESSES_WITH_ATTRIBUTES, parseInterfaceAddress).map(
      ({ address, prefixLength, pointToPoint, broadcast, routeMetric, attributes: others }) =>
        [`${address}/${prefixLength}`, pointToPoint ?? "-", broadcast ?? "-", routeMetric ?? "-", others ?? "-"].join(
          " ",
        ),
    )
    expect(details.filter((text) => !/^(127|::1|fe80)/.test(text))).toEqual([
      "192.0.2.10/24 - 192.0.2.255 100 -",
      "10.9.0.1/32 10.9.0.2 - - -",
      "192.0.2.11/24 - - - -",
      "2001:db8:6::1/64 - - - -",
      "2001:db8:5::1/128 2001:db8:5::2 - - -",
      "2001:db8:1::10/112 - - 512 -",
    ])
  })

  it("comes back from what is written", () => {
    const entries = [ADDRESSES, ADDRESSES_WITH_ATTRIBUTES].flatMap((dump) => parseAll(dump, parseInterfaceAddress))
    for (const entry of entries) {
      const [back] = parseAll(
        write((writer) => writeInterfaceAddress(writer, entry)),
        parseInterfaceAddress,
      )
      expect(back).toEqual(entry)
    }
  })

  it("is written attribute by attribute", () => {
    const entry = {
      interfaceIndex: 3,
      address: Address.parse("192.0.2.10"),
      prefixLength: 26,
      scope: 0,
      flags: 0x220,
      broadcast: Address.parse("192.0.2.63"),
      routeMetric: 100,
      attributes: [{ type: 11, bytes: [9] }],
    }
    expect(hex(write((writer) => writeInterfaceAddress(writer, entry)))).toBe(
      [
        "5c000000" + "1800" + "0100" + "07000000" + "00000000",
        "02" + "1a" + "20" + "00" + "03000000",
        "0800" + "0200" + "c000020a",
        "0800" + "0100" + "c000020a",
        "0800" + "0400" + "c000023f",
        "0800" + "0800" + "20020000",
        "0800" + "0900" + "64000000",
        "0500" + "0b00" + "09000000",
        // Deprecated: preferred for no time, valid for ever.
        "1400" + "0600" + "00000000" + "ffffffff" + "00000000" + "00000000",
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

  it("keeps attributes as they are, but neither a medium preference nor a lifetime nor a next hop object", () => {
    const dumps = [ROUTES_V4_WITH_ATTRIBUTES, ROUTES_V6_WITH_ATTRIBUTES]
    const raw = (entry: Pick<Route, "attributes">) =>
      entry.attributes?.map(({ type, bytes }) => ` ${type}:${hex(Uint8Array.from(bytes))}`).join("") ?? ""
    const details = dumps
      .flatMap((dump) => parseAll(dump, parseRoute))
      .filter((route) => route.protocol !== 2)
      .map(
        (route) =>
          `${route.prefix ?? "default"}${route.typeOfService === undefined ? "" : ` tos ${route.typeOfService}`}` +
          `${route.sourcePrefix === undefined ? "" : ` from ${route.sourcePrefix}/${route.sourcePrefixLength}`}` +
          `${raw(route)}${route.nextHops.map((hop) => ` via ${hop.gateway}${raw(hop)}`).join("")}`,
      )
    // 8: metrics, 11: realm, 20: router preference, 21 and 22: encapsulation.
    expect(details).toEqual([
      "default via 192.0.2.1",
      "10.99.0.0 8:08000100040000000800020078050000 via 192.0.2.1",
      "11.0.0.0 8:0800010000200000080003007011010008000800b004000008000b000700000008000d003200000008000e00090000000a0010006375626963000000 via 192.0.2.1",
      "13.0.0.0 tos 16 via 192.0.2.1",
      "13.0.0.0 via 192.0.2.9",
      "16.0.0.0 via 192.0.2.3 11:05000000 via 192.0.2.4",
      "19.0.0.0 via 192.0.2.7",
      "21.0.0.0 22:0c000100000000000000000408000200c000024d0800030000000000050005000000000005000400000000000600060000000000 21:0200 via 192.0.2.1",
      "2001:db8:7:: 20:01 via 2001:db8:1::1",
      "2001:db8:8:: 8:0800020078050000 via 2001:db8:1::9",
      "2001:db8:a:: from 2001:db8:1::/64 20:03 via 2001:db8:1::1",
      "2001:db8:a:: via 2001:db8:1::9",
      "2001:db8:b:: via 2001:db8:1::1",
    ])
  })

  it("comes back from what is written", () => {
    const dumps = [ROUTES_V4, ROUTES_V6, ROUTES_V4_WITH_ATTRIBUTES, ROUTES_V6_WITH_ATTRIBUTES]
    const routes = dumps.flatMap((dump) => parseAll(dump, parseRoute))
    expect(routes.length).toBeGreaterThan(40)
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
    for (const dump of [LINKS, ADDRESSES, ROUTES_V4, ROUTES_V6, ROUTES_V4_WITH_ATTRIBUTES, ADDRESSES_WITH_ATTRIBUTES]) {
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
      [ROUTES_V4_WITH_ATTRIBUTES, parseRoute],
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
