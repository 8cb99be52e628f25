import {
  Address,
  Demiflow,
  Drops,
  Interface,
  IpProtocol,
  type Listener,
  NO_SOCKET,
  Ruling,
  Verdict,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { ForwardingPolicy } from "./policy.ts"
import type { FamilyRules } from "./rules.ts"

const at = Address.parse
const { tcp, udp, icmp } = IpProtocol
const CLOSED = "forward: the host is closed to the guest"

const own = new Set(["192.0.2.2", "203.0.113.9", "2001:db8::2", "2001:db8:9::9", "fe80::aa"])
const host = { isOwn: (address: Readonly<Address>) => own.has(address.toString()) }

const v4: FamilyRules = {
  hostLoopback: at("192.0.2.1"),
  guestAlias: at("192.0.2.88"),
  guestAddress: at("192.0.2.2"),
  ourAddress: at("192.0.2.1"),
  dnsForward: at("192.0.2.53"),
  dnsHost: at("127.0.0.53"),
}
const v6: FamilyRules = {
  hostLoopback: at("fe80::1"),
  guestAlias: at("2001:db8::88"),
  guestAddress: at("2001:db8::2"),
  ourAddress: at("fe80::1"),
  dnsForward: at("fe80::53"),
  dnsHost: at("2001:db8:9::9"),
}

/** The address that a flow to this one reaches, or why it reaches none. */
function reached(address: string, protocol: number = tcp, port = 80, rules = { v4, v6 }): string {
  const drops = new Drops()
  const policy = new ForwardingPolicy(rules, drops, host)
  const ruling = new Ruling()
  const asked = at(address)
  const side = Demiflow.of(Interface.tap, asked, port, at(asked.isV4 ? "192.0.2.7" : "2001:db8::7"), 40_000)
  const verdict = policy.target(protocol, side, ruling)
  if (verdict === Verdict.forward) return ruling.target.correspondentAddress.toString()
  expect(verdict).toBe(Verdict.refuse)
  drops.count(ruling.reason)
  return drops.entries()[0][0]
}

describe("a closed host", () => {
  it.each(["192.0.2.2", "203.0.113.9", "2001:db8::2", "2001:db8:9::9"])(
    "is reached at none of its addresses: %s",
    (address) => {
      for (const protocol of [tcp, udp, icmp]) expect(reached(address, protocol)).toBe(CLOSED)
    },
  )

  it.each(["169.254.169.254", "169.254.0.1", "fe80::2", "fe80::aa", "febf::1"])(
    "keeps link-local addresses from the guest: %s",
    (address) => {
      for (const protocol of [tcp, udp, icmp]) expect(reached(address, protocol)).toBe(CLOSED)
    },
  )

  it("leaves the router what it is for others: no name for the host's loopback", () => {
    expect(reached("192.0.2.1")).toBe("192.0.2.1")
    expect(reached("fe80::1", udp)).toBe("fe80::1")
    expect(reached("169.254.0.1", tcp, 80, { v4: { ourAddress: at("169.254.0.1") }, v6 })).toBe("169.254.0.1")
  })

  it("has no router at an address of its own", () => {
    expect(reached("203.0.113.9", tcp, 80, { v4: { ourAddress: at("203.0.113.9") }, v6 })).toBe(CLOSED)
  })

  it("is reached by no name that stands for it, however that was asked for", () => {
    for (const name of ["192.0.2.88", "2001:db8::88"]) expect(reached(name)).toBe(CLOSED)
    const named = { v4: { ...v4, hostLoopback: at("192.0.2.99") }, v6 }
    expect(reached("192.0.2.99", tcp, 80, named)).toBe(CLOSED)
  })

  it("has name service forwarded, and that alone", () => {
    expect(reached("192.0.2.53", udp, 53)).toBe("127.0.0.53")
    expect(reached("fe80::53", tcp, 53)).toBe("2001:db8:9::9")
    expect(reached("fe80::53", tcp, 80)).toBe(CLOSED)
  })

  it("keeps groups from the guest, of which the host may be a member", () => {
    for (const group of ["224.0.0.251", "239.1.2.3", "ff02::fb", "ff05::2"])
      expect(reached(group, udp, 5353)).toBe(CLOSED)
  })

  it("lets everything else pass", () => {
    for (const address of ["192.0.2.9", "198.51.100.7", "2001:db8::9"]) expect(reached(address)).toBe(address)
  })

  it("is seen by the guest as ever, where it begins itself", () => {
    const guest = {
      lastSeenV4: at("192.0.2.2"),
      lastSeenV6: at("2001:db8::2"),
      lastSeenLinkLocal: at("fe80::9"),
      ourLinkLocal: at("fe80::1"),
      hasAddress: () => false,
    }
    const listener: Listener = {
      ref: 0 as Listener["ref"],
      protocol: tcp,
      interface: Interface.host,
      end: { address: undefined, port: 7000, interfaceName: undefined, freebind: false },
      targetAddress: undefined,
      targetPort: 80,
      socket: NO_SOCKET,
    }
    const policy = new ForwardingPolicy({ v4, v6 }, new Drops(), host)
    const seenAs = (source: string, asked: string) => {
      const ruling = new Ruling()
      const initiating = Demiflow.of(Interface.host, at(asked), 7000, at(source), 40_000)
      expect(policy.targetAtGuest(listener, initiating, guest, ruling)).toBe(Verdict.forward)
      return ruling.target.forwardingAddress.toString()
    }
    expect(seenAs("127.0.0.1", "127.0.0.1")).toBe("192.0.2.1")
    expect(seenAs("203.0.113.9", "192.0.2.2")).toBe("203.0.113.9")
    expect(seenAs("192.0.2.2", "192.0.2.2")).toBe("192.0.2.88")
  })
})
