// The demo's small internet, made by netlink without other programs: a router and a world in namespaces of their own
// beside the "host", which is the network namespace of this process.
import { writeSync } from "node:fs"
import { Address } from "@demiflow/core"
import {
  addAddress,
  addRoute,
  changeLink,
  checkResult,
  NamespaceFlag,
  NetlinkSocket,
  readNetwork,
  VisitedNamespace,
} from "@demiflow/sys"
import { arena, native, openNamespace } from "./children.mjs"
import { gateway, host, server } from "./network.mjs"

// <linux/rtnetlink.h>, <linux/if_link.h>, <linux/veth.h>
const RTM_NEWLINK = 16
const NLM_F_CREATE = 0x400
const IFLA_IFNAME = 3
const IFLA_LINKINFO = 18
const IFLA_NET_NS_FD = 28
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1
const IFA_F_NODAD = 2

const text = (value) => Buffer.from(`${value}\0`)
const emptyHeader = (writer) => writer.uint32(0).uint32(0).uint32(0).uint32(0)

/** A network namespace that is set up from outside. */
class Network {
  constructor(descriptor) {
    this.descriptor = descriptor
    this.netlink = new NetlinkSocket(native, arena, new VisitedNamespace(native, arena, descriptor))
  }

  static async create() {
    return new Network(await openNamespace(NamespaceFlag.network, "net"))
  }

  /** The steps by which a child enters it. */
  get enter() {
    return [{ kind: "enterNamespace", descriptor: this.descriptor, type: NamespaceFlag.network }]
  }

  /** Sets a variable of sysctl(8). */
  set(name, value) {
    const path = `/proc/sys/${name.replaceAll(".", "/")}`
    const descriptor = checkResult(native.openInNamespace(this.descriptor, path, 1), `set ${name}`)
    try {
      writeSync(descriptor, value)
    } finally {
      native.close(descriptor)
    }
  }

  #index(name) {
    return readNetwork(this.netlink).interfaces.find((link) => link.name === name)?.index ?? 0
  }

  /** A cable to the interface `eth0` of another one. */
  connect(name, other) {
    this.netlink.request("make a pair of interfaces", RTM_NEWLINK, NLM_F_CREATE, (writer) => {
      emptyHeader(writer).attributeBytes(IFLA_IFNAME, text(name))
      writer.nested(IFLA_LINKINFO, () => {
        writer.attributeBytes(IFLA_INFO_KIND, text("veth"))
        writer.nested(IFLA_INFO_DATA, () =>
          writer.nested(VETH_INFO_PEER, () => {
            emptyHeader(writer).attributeBytes(IFLA_IFNAME, text("eth0"))
            writer.attributeUint32(IFLA_NET_NS_FD, other.descriptor)
          }),
        )
      })
    })
    this.up(name)
    other.up("eth0")
  }

  up(name) {
    changeLink(this.netlink, this.#index(name), { isUp: true })
  }

  /** Adds addresses, each with the length of its prefix. */
  address(name, ...addresses) {
    for (const entry of addresses) {
      const [address, length] = entry.split("/")
      addAddress(this.netlink, {
        interfaceIndex: this.#index(name),
        address: Address.parse(address),
        prefixLength: Number(length),
        scope: 0,
        flags: address.includes(":") ? IFA_F_NODAD : 0,
      })
    }
  }

  /** Adds a route through a gateway; the default route unless a target is given. */
  route(name, via, to) {
    const [prefix, length = "0"] = to?.split("/") ?? []
    addRoute(this.netlink, {
      isV4: !via.includes(":"),
      prefix: prefix === undefined ? undefined : Address.parse(prefix),
      prefixLength: Number(length),
      table: 254,
      type: 1,
      scope: 0,
      protocol: 3,
      metric: undefined,
      preferredSource: undefined,
      nextHops: [{ interfaceIndex: this.#index(name), gateway: Address.parse(via), weight: 1, flags: 0 }],
    })
  }
}

/** Creates the internet. Returns the world. */
export async function makeInternet() {
  const here = new Network(checkResult(native.open("/proc/self/ns/net", 0, 0), "open the namespace"))
  const router = await Network.create()
  const world = await Network.create()
  for (const network of [here, router, world]) {
    // No other station can have an address already. Duplicate address detection would delay IPv6 for two seconds.
    network.set("net.ipv6.conf.default.accept_dad", "0")
    network.up("lo")
  }
  here.connect("eth0", router)
  router.connect("eth1", world)
  here.address("eth0", `${host[4]}/24`, `${host[6]}/64`)
  router.address("eth0", `${gateway[4]}/24`, `${gateway[6]}/64`)
  router.address("eth1", "203.0.113.1/24", "2001:db8:3::1/64")
  world.address("eth0", "203.0.113.2/24", "2001:db8:3::2/64")
  world.address("lo", `${server[4]}/32`, `${server[6]}/128`)
  for (const version of [4, 6]) here.route("eth0", gateway[version])
  router.route("eth1", "203.0.113.2", `${server[4]}/32`)
  router.route("eth1", "2001:db8:3::2", `${server[6]}/128`)
  world.route("eth0", "203.0.113.1")
  world.route("eth0", "2001:db8:3::1")
  router.set("net.ipv4.conf.all.forwarding", "1")
  router.set("net.ipv6.conf.all.forwarding", "1")
  allowPings(here)
  return world
}

/** Ping sockets are open to everybody on most distributions; a new namespace may start without them. */
function allowPings(network) {
  for (const groups of ["0 2147483647", "0 0"]) {
    try {
      return network.set("net.ipv4.ping_group_range", groups)
    } catch {
      // Only groups that the user namespace maps.
    }
  }
}
