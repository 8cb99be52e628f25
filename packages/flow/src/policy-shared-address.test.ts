/**
 * Sources that the guest can't reply to as they are: its own addresses, which the host shares, and loopback addresses.
 * As in `passt(1)`, by options: --gateway, --map-host-loopback, --no-map-gw, --map-guest-addr.
 */
import {
  Address,
  Demiflow,
  Drops,
  Interface,
  IpProtocol,
  type Listener,
  type ListenerRef,
  NO_SOCKET,
  Ruling,
  Verdict,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { ForwardingPolicy } from "./policy.ts"
import type { FamilyRules, ForwardingRules } from "./rules.ts"

const at = Address.parse

/** Addresses of a family in these tests; the guest has `own` and, where copied, `second` from the host. */
interface Family {
  readonly name: string
  readonly own: string
  readonly second: string
  readonly elsewhere: string
  readonly loopback: string
  readonly gateway: string
  readonly alias: string
  readonly hostLoopback: string
}

const ipv4: Family = {
  name: "IPv4",
  own: "192.0.2.2",
  second: "192.0.2.20",
  elsewhere: "198.51.100.7",
  loopback: "127.0.0.5",
  gateway: "192.0.2.1",
  alias: "169.254.1.2",
  hostLoopback: "192.0.2.88",
}

const ipv6: Family = {
  name: "IPv6",
  own: "2001:db8:1::2",
  second: "2001:db8:1::20",
  elsewhere: "2001:db8:2::7",
  loopback: "::1",
  gateway: "2001:db8:1::1",
  alias: "2001:db8:1::77",
  hostLoopback: "2001:db8:1::88",
}

const guest = {
  lastSeenV4: at(ipv4.own),
  lastSeenV6: at(ipv6.own),
  lastSeenLinkLocal: at("fe80::9"),
  ourLinkLocal: at("fe80::2"),
  hasAddress: () => false,
}

const listener: Listener = {
  ref: 0 as ListenerRef,
  protocol: IpProtocol.tcp,
  interface: Interface.host,
  end: { address: undefined, port: 7000, interfaceName: undefined, freebind: false },
  targetAddress: undefined,
  targetPort: 80,
  socket: NO_SOCKET,
}

const isGateway = ({ gateway }: Family): FamilyRules => ({ ourAddress: at(gateway) })
const hasAlias = ({ alias }: Family): FamilyRules => ({ guestAlias: at(alias) })
const hasLoopback = ({ hostLoopback }: Family): FamilyRules => ({ hostLoopback: at(hostLoopback) })
const mapsGateway = ({ gateway }: Family): FamilyRules => ({ hostLoopback: at(gateway) })
const linkLocalGateway = (): FamilyRules => ({ ourAddress: at("fe80::a") })

type Part = (family: Family) => FamilyRules
const both =
  (...parts: readonly Part[]): Part =>
  (family) =>
    Object.assign({ guestAddress: at(family.own) }, ...parts.map((part) => part(family)))

const DROPPED = "forward: source address that the guest can't answer"
type Expected = (family: Family) => string

interface Case {
  readonly options: string
  readonly rules: Part
  /** The guest's names for the host's own address, and for its loopback without a local path. */
  readonly own: Expected
  readonly loopback: Expected
}

const dropped: Expected = () => DROPPED
const asGateway: Expected = ({ gateway }) => gateway
const asAlias: Expected = ({ alias }) => alias
const asHostLoopback: Expected = ({ hostLoopback }) => hostLoopback
const asLinkLocal =
  (linkLocal: string, ofIpv4: Expected): Expected =>
  (family) =>
    family === ipv6 ? linkLocal : ofIpv4(family)

const cases: readonly Case[] = [
  { options: "none", rules: both(isGateway, mapsGateway), own: asGateway, loopback: asGateway },
  { options: "--no-map-gw", rules: both(isGateway), own: asGateway, loopback: dropped },
  {
    options: "--map-host-loopback",
    rules: both(isGateway, hasLoopback),
    own: asGateway,
    loopback: asHostLoopback,
  },
  {
    options: "--map-guest-addr",
    rules: both(isGateway, mapsGateway, hasAlias),
    own: asAlias,
    loopback: asGateway,
  },
  { options: "--no-map-gw --map-guest-addr", rules: both(isGateway, hasAlias), own: asAlias, loopback: dropped },
  {
    options: "--map-host-loopback --map-guest-addr",
    rules: both(isGateway, hasLoopback, hasAlias),
    own: asAlias,
    loopback: asHostLoopback,
  },
  {
    options: "--no-map-gw, with a host whose gateway is link-local",
    rules: (family) => (family === ipv6 ? both(linkLocalGateway)(family) : both(isGateway)(family)),
    own: asLinkLocal("fe80::a", asGateway),
    loopback: dropped,
  },
  {
    options: "none, with a host that has no gateway",
    rules: both(),
    own: asLinkLocal("fe80::2", dropped),
    loopback: dropped,
  },
  {
    options: "--map-host-loopback, with a host that has no gateway",
    rules: both(hasLoopback),
    own: asLinkLocal("fe80::2", asHostLoopback),
    loopback: asHostLoopback,
  },
]

function target(
  family: Family,
  rules: FamilyRules,
  source: string,
  more: Partial<ForwardingRules> = {},
): Demiflow | string {
  const drops = new Drops()
  const policy = new ForwardingPolicy({ ...more, [family === ipv4 ? "v4" : "v6"]: rules }, drops)
  const initiating = Demiflow.of(Interface.host, at(family.own), 7000, at(source), 50_000)
  const ruling = new Ruling()
  const verdict = policy.targetAtGuest(listener, initiating, guest, ruling)
  if (verdict === Verdict.forward) return ruling.target
  drops.count(ruling.reason)
  return drops.entries()[0][0]
}

/** The guest's name for the source, or why there is none. */
function source(...[family, rules, address]: Parameters<typeof target>): string {
  const found = target(family, rules, address)
  return typeof found === "string" ? found : found.forwardingAddress.toString()
}

describe.each([ipv4, ipv6])("a source that the guest can't answer as it is, $name", (family) => {
  it.each(cases)("options: $options", ({ rules, own, loopback }) => {
    const used = rules(family)
    expect(source(family, used, family.own)).toBe(own(family))
    expect(source(family, used, family.loopback)).toBe(loopback(family))
    expect(source(family, used, family.elsewhere)).toBe(family.elsewhere)
  })

  it.each(cases)("goes to an address of the scope that it has, options: $options", ({ rules, own }) => {
    const found = target(family, rules(family), family.own)
    if (typeof found === "string") return
    const isLinkLocal = own(family).startsWith("fe80:")
    expect(found.correspondentAddress.toString()).toBe(isLinkLocal ? "fe80::9" : family.own)
  })

  it("is each of the addresses that the guest has from the host, and no other", () => {
    const rules = both(isGateway)(family)
    expect(source(family, rules, family.second)).toBe(family.second)
    const copied = { ...rules, addressesSetUp: [at(family.second)] }
    expect(source(family, copied, family.second)).toBe(family.gateway)
    expect(source(family, copied, family.elsewhere)).toBe(family.elsewhere)
  })

  it("is none where the guest was given another address than the host's", () => {
    const rules: FamilyRules = { ...isGateway(family), guestAddress: at(family.second) }
    const elsewhere = { ...guest, lastSeenV4: at(ipv4.second), lastSeenV6: at(ipv6.second) }
    const policy = new ForwardingPolicy({ v4: rules, v6: rules }, new Drops())
    const initiating = Demiflow.of(Interface.host, at(family.own), 7000, at(family.own), 50_000)
    const ruling = new Ruling()
    expect(policy.targetAtGuest(listener, initiating, elsewhere, ruling)).toBe(Verdict.forward)
    expect(ruling.target.forwardingAddress.toString()).toBe(family.own)
  })

  it.each(cases)("has the same name where no listener was asked, options: $options", ({ rules, own, loopback }) => {
    const used = rules(family)
    const policy = new ForwardingPolicy({ [family === ipv4 ? "v4" : "v6"]: used }, new Drops())
    const seenAs = (address: string) => policy.sourceTowardsGuest(at(address), guest)?.toString() ?? DROPPED
    expect(seenAs(family.own)).toBe(own(family))
    expect(seenAs(family.loopback)).toBe(loopback(family))
    expect(seenAs(family.elsewhere)).toBe(family.elsewhere)
  })

  it("is none if it is no unicast address, or IP of that version is off", () => {
    const isV4 = family === ipv4
    const rules = both(isGateway, mapsGateway)(family)
    const policy = new ForwardingPolicy({ v4: rules, v6: rules }, new Drops())
    for (const address of isV4 ? ["0.0.0.0", "224.0.0.1", "255.255.255.255"] : ["::", "ff02::1"]) {
      expect(policy.sourceTowardsGuest(at(address), guest)).toBeUndefined()
    }
    const isOff = new ForwardingPolicy(isV4 ? { v6: rules } : { v4: rules }, new Drops())
    expect(isOff.sourceTowardsGuest(at(family.elsewhere), guest)).toBeUndefined()
  })

  it("reports errors under the same names", () => {
    const seenAs = (rules: FamilyRules, address: string): string => {
      const value = at(address)
      new ForwardingPolicy({ v4: rules, v6: rules }, new Drops()).translateToGuest(value)
      return value.toString()
    }
    const rules = both(isGateway, mapsGateway, hasAlias)(family)
    expect(seenAs(rules, family.own)).toBe(family.alias)
    expect(seenAs(rules, family.loopback)).toBe(family.gateway)
    expect(seenAs(rules, family.elsewhere)).toBe(family.elsewhere)
    const copied = { ...both(isGateway)(family), addressesSetUp: [at(family.second)] }
    expect(seenAs(copied, family.own)).toBe(family.gateway)
    expect(seenAs(copied, family.second)).toBe(family.gateway)
    expect(seenAs({}, family.own)).toBe(family.own)
  })
})
