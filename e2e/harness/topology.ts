/**
 * The small internet of the tests:
 *
 *     host ──(veth or wire)── [router ──veth──] world
 *
 * pasta runs in `host`. The servers are in `world`, on addresses of its loopback interface, because
 * the gateway's address means the host itself to pasta. All addresses are documentation ranges.
 */
import { afterAll, beforeAll, describe } from "vitest"
import { Namespace } from "./places.ts"
import { startWire, type Wire, type WireOptions } from "./wire.ts"

export interface TopologyOptions {
  /** MTU of the link between host and world, 1500 when absent. */
  readonly mtu?: number
  /** Puts a router between host and world. */
  readonly router?: boolean
  /** Joins host and world with a wire that loses, delays and reorders, instead of a veth pair. */
  readonly wire?: WireOptions
  /** IP versions that the host has addresses and routes for; both when absent. */
  readonly versions?: readonly (4 | 6)[]
}

/** What one IP version is called here. */
export interface Family {
  readonly name: string
  readonly version: 4 | 6
  readonly host: string
  readonly prefixLength: number
  readonly gateway: string
  /** The servers' address. */
  readonly server: string
  /** A second address of the world. */
  readonly other: string
  /** The world refuses to route here: ICMP host unreachable. */
  readonly unreachable: string
  /** The world refuses to route here: ICMP administratively prohibited. */
  readonly prohibited: string
  /** The world silently drops packets to this address. */
  readonly silent: string
  /** The host itself has no route to here. */
  readonly unroutable: string
  readonly loopback: string
}

export const ipv4: Family = {
  name: "IPv4",
  version: 4,
  host: "192.0.2.2",
  prefixLength: 24,
  gateway: "192.0.2.1",
  server: "198.51.100.7",
  other: "198.51.100.8",
  unreachable: "198.51.100.66",
  prohibited: "198.51.100.67",
  silent: "198.51.100.68",
  unroutable: "198.51.100.69",
  loopback: "127.0.0.1",
}

export const ipv6: Family = {
  name: "IPv6",
  version: 6,
  host: "2001:db8:1::2",
  prefixLength: 64,
  gateway: "2001:db8:1::1",
  server: "2001:db8:2::7",
  other: "2001:db8:2::8",
  unreachable: "2001:db8:2::66",
  prohibited: "2001:db8:2::67",
  silent: "2001:db8:2::68",
  unroutable: "2001:db8:2::69",
  loopback: "::1",
}

export const families: readonly Family[] = [ipv4, ipv6]

/** The same tests for both IP versions. `of` overrides some addresses. */
export function overBoth(tests: (family: Family) => void, of: readonly Family[] = families): void {
  for (const family of of) describe(`over ${family.name}`, () => tests(family))
}

/** The address as it stands before a port. */
export function inUrl(address: string): string {
  return address.includes(":") ? `[${address}]` : address
}

let topologies = 0

export class Topology {
  /** Contains the number of the process, so that a later run finds namespaces that a killed one left behind. */
  readonly name: string = `df-${process.pid}-${++topologies}`
  readonly host: Namespace = new Namespace(`${this.name}-host`)
  readonly world: Namespace = new Namespace(`${this.name}-world`)
  readonly router: Namespace | undefined
  wire: Wire | undefined
  readonly #options: TopologyOptions

  constructor(options: TopologyOptions = {}) {
    this.#options = options
    if (options.router === true) this.router = new Namespace(`${this.name}-router`)
  }

  get namespaces(): readonly Namespace[] {
    return [this.host, ...(this.router === undefined ? [] : [this.router]), this.world]
  }

  async create(): Promise<void> {
    for (const namespace of this.namespaces) {
      await namespace.create()
      await namespace.configure(["link set lo up"])
      await namespace.set({
        "net.ipv6.conf.all.accept_dad": 0,
        "net.ipv6.conf.default.accept_dad": 0,
        "net.ipv4.conf.all.forwarding": 1,
        "net.ipv6.conf.all.forwarding": 1,
        // Rate limits on ICMP errors would make tests wait for each other. (A limit of zero would also
        // take the tokens that errors about routes are paid with; hence no type is limited, instead.)
        "net.ipv4.icmp_ratemask": 0,
        "net.ipv6.icmp.ratelimit": 0,
        // The kernel must not cache loss from one connection for the next.
        "net.ipv4.tcp_no_metrics_save": 1,
        "net.ipv4.ping_group_range": "0 2147483647",
      })
      await useCubic(namespace)
    }
    await this.host.set({ "net.ipv4.conf.all.forwarding": 0, "net.ipv6.conf.all.forwarding": 0 })
    await this.#join()
    await this.#route()
  }

  async #join(): Promise<void> {
    const { mtu = 1500, wire } = this.#options
    const inner = this.router ?? this.world
    if (wire === undefined) {
      await this.host.configure([`link add eth0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${inner.name}`])
    } else {
      this.wire = await startWire(wire, [this.host.path, "eth0"], [inner.path, "eth0"])
      for (const end of [this.host, inner]) await end.configure([`link set eth0 mtu ${mtu} txqueuelen 10000`])
    }
    if (this.router !== undefined) {
      await this.router.configure([`link add eth1 type veth peer name eth0 netns ${this.world.name}`])
    }
    for (const namespace of this.namespaces) {
      const links = namespace === this.router ? ["eth0", "eth1"] : ["eth0"]
      await namespace.configure(links.map((link) => `link set ${link} up`))
    }
  }

  async #route(): Promise<void> {
    const { versions = [4, 6] } = this.#options
    const inner = this.router ?? this.world
    for (const family of families) {
      if (!versions.includes(family.version)) continue
      const { prefixLength, server, other, host, gateway } = family
      const full = family.version === 4 ? 32 : 128
      const nodad = family.version === 4 ? "" : " nodad"
      await inner.configure([`addr add ${gateway}/${prefixLength} dev eth0${nodad}`])
      await this.host.configure([
        `addr add ${host}/${prefixLength} dev eth0${nodad}`,
        `route add default via ${gateway}`,
        `route add unreachable ${family.unroutable}/${full}`,
      ])
      await this.world.configure([
        `addr add ${server}/${full} dev lo${nodad}`,
        `addr add ${other}/${full} dev lo${nodad}`,
        `route add unreachable ${family.unreachable}/${full}`,
        `route add prohibit ${family.prohibited}/${full}`,
        `route add blackhole ${family.silent}/${full}`,
      ])
      if (this.router === undefined) continue
      const [near, far] = family.version === 4 ? ["203.0.113.1", "203.0.113.2"] : ["2001:db8:3::1", "2001:db8:3::2"]
      await this.router.configure([
        `addr add ${near}/${prefixLength} dev eth1${nodad}`,
        `route add ${server.replace(/7$/, "0")}/${family.version === 4 ? 24 : 48} via ${far}`,
      ])
      await this.world.configure([`addr add ${far}/${prefixLength} dev eth0${nodad}`, `route add default via ${near}`])
    }
  }

  async remove(): Promise<void> {
    await this.wire?.stop()
    for (const namespace of this.namespaces) await namespace.remove()
  }
}

async function useCubic(namespace: Namespace): Promise<void> {
  // Where the machine lacks cubic, the tests run with its default.
  await namespace.run(["sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=cubic"])
}

/** A topology for all tests of the file or `describe` block that calls this. */
export function useTopology(options: TopologyOptions = {}): Topology {
  const topology = new Topology(options)
  beforeAll(() => topology.create())
  afterAll(() => topology.remove())
  return topology
}
