import { closeSync, openSync } from "node:fs"
import {
  Address,
  Arena,
  Errno,
  type HostNetwork,
  type InterfaceAddress,
  MacAddress,
  type NextHop,
  type Route,
} from "@demiflow/core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { attachArena } from "../attach.ts"
import { AddressFamily, SocketType } from "../constants.ts"
import { MessageTable } from "../message-table.ts"
import { VisitedNamespace } from "../namespace/network-namespace.ts"
import type { Native } from "../native.ts"
import { NamespaceFlag, runSteps } from "../process/index.ts"
import { MessageType, NetlinkProtocol } from "./constants.ts"
import { addAddress, addRoute, changeLink, readNetwork, replaceRoute } from "./network.ts"
import { NetlinkSocket } from "./socket.ts"

const arena = new Arena(1 << 20)
const native = attachArena(arena)

describe("the network of this process", () => {
  it("has a loopback interface", () => {
    const socket = new NetlinkSocket(native, arena)
    const network = readNetwork(socket)
    socket.close()
    expect(network.interfaces[0]).toMatchObject({ index: 1, name: "lo", isLoopback: true })
  })

  it("says in a sentence what can't be done", () => {
    const socket = new NetlinkSocket(native, arena)
    expect(() => changeLink(socket, 999_999, { isUp: true })).toThrow(
      /^Could not change the network interface 999999: .*\((ENODEV|EPERM)\)/,
    )
    socket.close()
  })
})

// Sending to other processes requires privileges, which root inside a namespace has.
describe.runIf(process.getuid?.() === 0)("another process", () => {
  const address = arena.reserve(12, 4)
  const table = new MessageTable(arena, 1)

  it.each(Object.values(NetlinkProtocol))("can't send anything to our socket (protocol %i)", (protocol) => {
    let descriptor = -1
    const observed: Native = Object.assign(Object.create(native), {
      socketInNamespace: (...parameters: Parameters<Native["socketInNamespace"]>) => {
        descriptor = native.socketInNamespace(...parameters)
        return descriptor
      },
    })
    const socket = new NetlinkSocket(observed, arena, undefined, protocol)
    const other = native.socket(AddressFamily.netlink, SocketType.raw, protocol)
    const ask = () => socket.request("do nothing", MessageType.noOperation, 0, () => {})
    ask()
    expect(native.getSocketName(descriptor, address, 12)).toBe(12)
    expect(arena.view.getUint32(address + 4, true)).not.toBe(0)
    table.setName(0, address, 12)
    table.setData(0, arena.reserve(32, 4), 32)
    expect(native.sendMessages(other, table.offset, 1, 0)).toBe(-Errno.ECONNREFUSED)
    ask()
    native.close(other)
    socket.close()
  })
})

// Entering a namespace requires privileges, which the program has inside its user namespace.
describe.runIf(process.getuid?.() === 0)("the network of another namespace", () => {
  const scratch = arena.reserve(16, 8)
  let child = 0
  let namespace = -1
  let socket: NetlinkSocket

  beforeAll(() => {
    native.createPipe(scratch)
    const [readEnd, writeEnd] = [arena.view.getInt32(scratch, true), arena.view.getInt32(scratch + 4, true)]
    // It waits for as long as this process holds the other end open.
    child = runSteps(
      native,
      arena,
      [
        { kind: "unshare", flags: NamespaceFlag.network },
        { kind: "putByte", descriptor: writeEnd },
        { kind: "execute", paths: ["/bin/sleep"], arguments: ["sleep", "600"] },
      ],
      2,
    ).process
    native.fileControl(readEnd, 4, 0)
    expect(native.read(readEnd, scratch, 1)).toBe(1)
    namespace = openSync(`/proc/${child}/ns/net`, "r")
    socket = new NetlinkSocket(native, arena, new VisitedNamespace(native, arena, namespace))
  })

  afterAll(() => {
    socket.close()
    closeSync(namespace)
    native.kill(child, 9)
    native.waitPid(child, 0, scratch)
  })

  it("is another one", () => {
    expect(names(readNetwork(socket))).not.toContain("eth0")
    expect(readNetwork(socket).interfaces[0]).toMatchObject({ name: "lo", isUp: false })
    expect(readNetwork(socket).routes).toEqual([])
  })

  it("gets its loopback interface up", () => {
    changeLink(socket, 1, { isUp: true })
    const network = readNetwork(socket)
    expect(network.interfaces[0].isUp).toBe(true)
    expect(network.addresses.map(({ address }) => address.toString())).toEqual(["127.0.0.1", "::1"])
  })

  describe("with a tap interface", () => {
    let tap = -1
    let index = 0

    beforeAll(() => {
      tap = native.openInNamespace(namespace, "/dev/net/tun", 2)
      expect(tap).toBeGreaterThan(0)
      const request = arena.reserve(64, 8)
      arena.bytes.fill(0, request, request + 64)
      arena.bytes.set(new TextEncoder().encode("launch0"), request)
      // IFF_TAP | IFF_NO_PI, TUNSETIFF
      arena.view.setUint16(request + 16, 0x1002, true)
      expect(native.ioctl(tap, 0x400454ca, request)).toBe(0)
      index = readNetwork(socket).interfaces.find(({ name }) => name === "launch0")?.index ?? 0
    })

    afterAll(() => native.close(tap))

    const hop = (gateway: string | undefined, more: Partial<NextHop> = {}): NextHop => ({
      interfaceIndex: index,
      gateway: gateway === undefined ? undefined : Address.parse(gateway),
      weight: 1,
      flags: 0,
      ...more,
    })
    const route = (prefix: string, nextHops: NextHop[], more: Partial<Route> = {}): Route => {
      const [text, length] = prefix.split("/")
      const address = Address.parse(text)
      return {
        isV4: address.isV4,
        prefix: length === "0" ? undefined : address,
        prefixLength: Number(length),
        table: 254,
        type: 1,
        scope: 0,
        protocol: 3,
        metric: address.isV4 ? undefined : 1024,
        preferredSource: undefined,
        nextHops,
        ...more,
      }
    }
    const address = (text: string, flags: number): InterfaceAddress => {
      const [host, length] = text.split("/")
      return {
        interfaceIndex: index,
        address: Address.parse(host),
        prefixLength: Number(length),
        scope: 0,
        flags,
      }
    }

    it("gets MTU and Ethernet address, and comes up", () => {
      const macAddress = MacAddress.parse("9a:55:9a:55:9a:77")
      changeLink(socket, index, { mtu: 65520, macAddress, isUp: true })
      expect(readNetwork(socket).interfaces[1]).toEqual({
        index,
        name: "launch0",
        macAddress,
        mtu: 65520,
        isUp: true,
        isLoopback: false,
      })
    })

    it("gets addresses that are usable at once and bring no routes", () => {
      addAddress(socket, address("192.0.2.7/24", 0x200))
      addAddress(socket, address("2001:db8::7/64", 0x202))
      const { addresses, routes } = readNetwork(socket)
      const ours = addresses.filter((entry) => entry.interfaceIndex === index && entry.scope === 0)
      expect(ours.map((entry) => `${entry.address}/${entry.prefixLength} ${entry.flags}`)).toEqual([
        "192.0.2.7/24 640",
        "2001:db8::7/64 642",
      ])
      expect(routes.filter((entry) => entry.isV4)).toEqual([])
      // Adding an address again is no error.
      addAddress(socket, address("192.0.2.7/24", 0x200))
      expect(readNetwork(socket).addresses).toHaveLength(addresses.length)
    })

    it("gets routes", () => {
      const wanted = [
        route("192.0.2.0/24", [hop(undefined)], {
          scope: 253,
          metric: 50,
          preferredSource: Address.parse("192.0.2.7"),
        }),
        route("0.0.0.0/0", [hop("192.0.2.1")], { protocol: 16, metric: 100 }),
        route("203.0.113.0/24", [hop("10.254.0.1", { flags: 4 })]),
        route("203.0.114.0/24", [hop("192.0.2.1", { weight: 3 }), hop("192.0.2.2", { weight: 7 })]),
        route("203.0.115.0/24", [], { type: 7 }),
        route("::/0", [hop("fe80::1")]),
        route("2001:db8:1::/48", [hop("2001:db8:9::1", { flags: 4 })]),
        route("2001:db8:2::/48", [hop("fe80::1"), hop("fe80::2", { weight: 4 })]),
      ]
      for (const entry of wanted) addRoute(socket, entry)
      const { routes } = readNetwork(socket)
      for (const entry of wanted) expect(routes).toContainEqual(entry)
      const [first] = wanted
      expect(() => addRoute(socket, first)).not.toThrow()
    })

    it("gets routes with attributes, and two that differ in these only are two", () => {
      const mtu = (value: number) => ({
        attributes: [{ type: 8, bytes: [8, 0, 2, 0, value & 0xff, value >> 8, 0, 0] }],
      })
      const via4 = [hop("192.0.2.1")]
      const via6 = [hop("fe80::1")]
      const wanted = [
        route("203.0.117.0/24", via4, mtu(1400)),
        route("203.0.118.0/24", via4, { typeOfService: 0x10 }),
        route("203.0.118.0/24", [hop("192.0.2.2")]),
        route("2001:db8:3::/48", via6, { attributes: [{ type: 20, bytes: [1] }] }),
        route("2001:db8:4::/48", via6, { sourcePrefix: Address.parse("2001:db8::"), sourcePrefixLength: 32 }),
        route("2001:db8:4::/48", [hop("fe80::2")], mtu(1300)),
      ]
      for (const entry of wanted) addRoute(socket, entry)
      const { routes } = readNetwork(socket)
      for (const entry of wanted) expect(routes).toContainEqual(entry)
    })

    it("gets routes in the place of those that the kernel adds with an address", () => {
      const connected = (prefix: string) =>
        readNetwork(socket).routes.filter((entry) => `${entry.prefix}/${entry.prefixLength}` === prefix)
      for (const [text, prefix, metric] of [
        ["198.18.0.7/24", "198.18.0.0/24", 100],
        ["2001:db8:5::7/64", "2001:db8:5::/64", 100],
      ] as const) {
        addAddress(socket, { ...address(text, 0x02), routeMetric: metric })
        expect(connected(prefix)).toMatchObject([{ protocol: 2, metric }])
        const other = route(prefix, [hop(undefined)], { protocol: 16, scope: text.includes(":") ? 0 : 253, metric })
        replaceRoute(socket, other)
        expect(connected(prefix)).toEqual([other])
      }
    })

    it("is reported in the kernel's words if something is wrong", () => {
      expect(() => addRoute(socket, route("203.0.116.0/24", [hop("10.77.0.1")]))).toThrow(
        "Could not add the IPv4 route to 203.0.116.0/24: network is unreachable (ENETUNREACH); the kernel says: Nexthop has invalid gateway",
      )
    })
  })
})

function names(network: HostNetwork): string[] {
  return network.interfaces.map(({ name }) => name)
}
