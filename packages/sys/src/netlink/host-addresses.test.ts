import { Address, Errno } from "@demiflow/core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Native } from "../native.ts"
import { arena, missing, native, openPingNamespace, type PingNamespace } from "../test-support.ts"
import { RouteTable } from "./constants.ts"
import { HostAddresses } from "./host-addresses.ts"
import { addAddress, addRoute, readNetwork } from "./network.ts"
import { NetlinkSocket } from "./socket.ts"

const at = Address.parse
const RTN_LOCAL = 2
const SCOPE_HOST = 254

/** Forwarding between interfaces gives a host the first address of each IPv6 network: anycast. */
const SETUP = [
  "ip link add one0 type veth peer name two0",
  "echo 0 > /proc/sys/net/ipv6/conf/one0/accept_dad",
  "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
  "ip link set lo up",
  "ip link set one0 up",
  "ip link set two0 up",
  "ip addr add 192.0.2.2/24 dev one0",
  "ip addr add 198.51.100.2/24 dev two0",
  "ip addr add 2001:db8::2/64 dev one0 nodad",
  "ip addr add fe80::2/64 dev one0 nodad",
  "ip route add local 203.0.113.0/24 dev lo",
  "ip route add local 2001:db8:5::/64 dev lo",
  "ip route add default via 192.0.2.1",
  "ip route add unreachable 10.0.0.0/8",
  "ip route add prohibit 10.1.0.0/16",
  "ip route add blackhole 10.2.0.0/16",
].join(" && ")

// Entering a namespace requires privileges, which the program has inside its user namespace.
describe.skipIf(missing)(`the host's own addresses${missing}`, () => {
  let namespace: PingNamespace
  let addresses: HostAddresses
  const warnings: string[] = []
  const open = (kernel = native, linkLocalScope?: number) =>
    new HostAddresses(kernel, arena, {
      namespace: namespace.network,
      linkLocalScope,
      warn: (message) => warnings.push(message),
    })
  const indexOf = (wanted: string) => {
    const socket = new NetlinkSocket(native, arena, namespace.network)
    const index = readNetwork(socket).interfaces.find(({ name }) => name === wanted)?.index ?? 0
    socket.close()
    return index
  }

  beforeAll(async () => {
    namespace = await openPingNamespace(SETUP)
    addresses = open()
  })
  afterAll(() => {
    addresses.close()
    namespace.close()
  })

  it.each([
    ["of an interface", ["192.0.2.2", "2001:db8::2"]],
    ["of another interface", ["198.51.100.2"]],
    ["of loopback", ["127.0.0.1", "127.9.9.9", "::1"]],
    ["of a link", ["fe80::2"]],
    ["by a route alone", ["203.0.113.77", "2001:db8:5::77"]],
    ["for any router of a network", ["2001:db8::"]],
    ["by a route on which packets are lost in silence, as far as the kernel says", ["10.2.0.1"]],
  ])("are those %s", (_, own) => {
    for (const address of own) expect([address, addresses.isOwn(at(address))]).toEqual([address, true])
  })

  it.each([
    ["on its links", ["192.0.2.9", "198.51.100.9", "2001:db8::9"]],
    ["behind its router", ["8.8.8.8"]],
    ["to which it has no route, or one that says so", ["2001:db8:7::7", "10.0.0.1", "10.1.0.1"]],
  ])("aren't those %s", (_, others) => {
    for (const address of others) expect([address, addresses.isOwn(at(address))]).toEqual([address, false])
  })

  it("are those that it has at the moment", () => {
    const socket = new NetlinkSocket(native, arena, namespace.network)
    const index = indexOf("one0")
    const later = at("192.0.2.99")
    expect(addresses.isOwn(later)).toBe(false)
    addAddress(socket, { interfaceIndex: index, address: later, prefixLength: 24, scope: 0, flags: 0 })
    expect(addresses.isOwn(later)).toBe(true)

    const routed = at("10.99.0.1")
    expect(addresses.isOwn(routed)).toBe(false)
    addRoute(socket, {
      isV4: true,
      prefix: at("10.99.0.0"),
      prefixLength: 16,
      table: RouteTable.local,
      type: RTN_LOCAL,
      scope: SCOPE_HOST,
      protocol: 3,
      metric: undefined,
      preferredSource: undefined,
      nextHops: [{ interfaceIndex: 1, gateway: undefined, weight: 1, flags: 0 }],
    })
    expect(addresses.isOwn(routed)).toBe(true)
    socket.close()
  })

  it("are all addresses while the kernel doesn't answer", () => {
    const silent: Native = Object.assign(Object.create(native), { receiveVectors: () => -Errno.EAGAIN })
    const deaf = open(silent)
    warnings.length = 0
    for (const address of ["8.8.8.8", "8.8.4.4"]) expect(deaf.isOwn(at(address))).toBe(true)
    expect(warnings).toEqual([expect.stringMatching(/^8\.8\.8\.8 is taken for .* ask for a route/)])
    deaf.close()
  })

  it("are of the link on which link-local addresses are, if that is known", () => {
    for (const [link, isOwn] of [
      ["one0", true],
      ["two0", false],
    ] as const) {
      const onLink = open(native, indexOf(link))
      expect([link, onLink.isOwn(at("fe80::2"))]).toEqual([link, isOwn])
      expect([link, onLink.isOwn(at("fe80::9"))]).toEqual([link, false])
      expect([link, onLink.isOwn(at("2001:db8::2"))]).toEqual([link, true])
      onLink.close()
    }
  })

  it("are distinguished from others as often as somebody asks, as the numbers of questions begin anew", () => {
    const asking = open()
    for (let count = 0; count < 40; count++) expect(asking.isOwn(at("8.8.8.8"))).toBe(false)
    asking.close()
  })
})
