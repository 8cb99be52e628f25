import {
  Address,
  Demiflow,
  Drops,
  type GuestEnds,
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
import type { ForwardingRules } from "./rules.ts"

const at = Address.parse

const rules: ForwardingRules = {
  v4: { hostLoopback: at("192.0.2.1"), guestAlias: at("169.254.1.2"), guestAddress: at("192.0.2.2") },
  v6: { hostLoopback: at("fe80::1"), guestAddress: at("2001:db8::2") },
}

const guest: GuestEnds = {
  lastSeenV4: at("192.0.2.9"),
  lastSeenV6: at("2001:db8::9"),
  lastSeenLinkLocal: at("fe80::9"),
  ourLinkLocal: at("fe80::1"),
  hasAddress: (_address, isAssumed) => isAssumed,
}

function listener(targetAddress?: Address): Listener {
  return {
    ref: 0 as ListenerRef,
    protocol: IpProtocol.tcp,
    interface: Interface.host,
    end: { address: undefined, port: 2222, interfaceName: undefined, freebind: false },
    targetAddress,
    targetPort: 22,
    socket: NO_SOCKET,
  }
}

interface Circumstances {
  readonly interface?: typeof Interface.host | typeof Interface.splice
  readonly used?: ForwardingRules
  readonly seen?: GuestEnds
  readonly targetAddress?: Address
}

function target(from: string, to: string, circumstances: Circumstances = {}): string {
  const { used = rules, seen = guest, targetAddress } = circumstances
  const drops = new Drops()
  const policy = new ForwardingPolicy(used, drops)
  const initiating = Demiflow.of(circumstances.interface ?? Interface.host, at(to), 2222, at(from), 50000)
  const ruling = new Ruling()
  const verdict = policy.targetAtGuest(listener(targetAddress), initiating, seen, ruling)
  if (verdict === Verdict.forward) return ruling.target.toString()
  drops.count(ruling.reason)
  return drops.entries()[0][0]
}

describe("ForwardingPolicy for flows that begin on the host", () => {
  it("leaves an ordinary correspondent as it is, and goes to where the guest was last seen", () => {
    expect(target("198.51.100.7", "192.0.2.2")).toBe("tap 198.51.100.7:50000 → 192.0.2.9:22")
    expect(target("2001:db8:2::7", "2001:db8::2")).toBe("tap [2001:db8:2::7]:50000 → [2001:db8::9]:22")
  })

  it("gives the host's loopback the name that the guest knows it by", () => {
    expect(target("127.0.0.1", "127.0.0.10")).toBe("tap 192.0.2.1:50000 → 192.0.2.9:22")
    expect(target("::1", "::1")).toBe("tap [fe80::1]:50000 → [fe80::9]:22")
  })

  it("drops what comes from a loopback address that has no other name", () => {
    const unmapped: ForwardingRules = { v4: {}, v6: {} }
    const reason = "forward: source address that the guest can't answer"
    expect(target("127.0.0.1", "127.0.0.1", { used: unmapped })).toBe(reason)
    expect(target("::1", "::1", { used: unmapped })).toBe(reason)
  })

  it("never uses an address of the guest's as the source", () => {
    expect(target("192.0.2.2", "192.0.2.2")).toBe("tap 169.254.1.2:50000 → 192.0.2.9:22")
    expect(target("192.0.2.9", "192.0.2.2")).toBe("tap 169.254.1.2:50000 → 192.0.2.9:22")
    expect(target("2001:db8::2", "2001:db8::2")).toBe("tap [fe80::1]:50000 → [fe80::9]:22")
    expect(target("fe80::9", "fe80::2")).toBe("tap [fe80::1]:50000 → [fe80::9]:22")
  })

  it("goes from a link-local address to the guest's, or to its global one if that is all that is known", () => {
    expect(target("fe80::7", "fe80::2")).toBe("tap [fe80::7]:50000 → [fe80::9]:22")
    const seen = { ...guest, lastSeenLinkLocal: at("::") }
    expect(target("::1", "::1", { seen })).toBe("tap [fe80::1]:50000 → [2001:db8::9]:22")
  })

  it("drops what can't reach a guest that has no address", () => {
    const seen = { ...guest, lastSeenV6: at("::") }
    expect(target("2001:db8:2::7", "2001:db8::2", { seen })).toBe("forward: no address of the guest")
  })

  it.each([
    { asked: "192.0.2.77", from: "198.51.100.7" },
    { asked: "2001:db8::77", from: "2001:db8:2::7" },
  ])("goes to the address that was asked, where the guest has it: $asked", ({ asked, from }) => {
    const family = asked.includes(":") ? "v6" : "v4"
    const end = (address: string, port: number) => (family === "v6" ? `[${address}]:${port}` : `${address}:${port}`)
    const lastSeen = family === "v6" ? "2001:db8::9" : "192.0.2.9"
    const seen = { ...guest, hasAddress: (address: Address) => String(address) === asked }
    expect(target(from, asked, { seen })).toBe(`tap ${end(from, 50000)} → ${end(asked, 22)}`)
    const setUp = { ...rules, [family]: { ...rules[family], addressesSetUp: [at(asked)] } }
    expect(target(from, asked, { used: setUp })).toBe(`tap ${end(from, 50000)} → ${end(asked, 22)}`)
    const gone = { ...guest, hasAddress: () => false }
    expect(target(from, asked, { used: setUp, seen: gone })).toBe(`tap ${end(from, 50000)} → ${end(lastSeen, 22)}`)
    // A rule's target is used, and nobody is its own correspondent.
    const targetAddress = at(family === "v6" ? "2001:db8::5" : "192.0.2.5")
    expect(target(from, asked, { seen, targetAddress })).toBe(
      `tap ${end(from, 50000)} → ${end(`${targetAddress}`, 22)}`,
    )
    expect(target(asked, asked, { seen })).toBe(`tap ${end(asked, 50000)} → ${end(lastSeen, 22)}`)
  })

  it("goes nowhere else for addresses that mean something to the host alone", () => {
    const seen = { ...guest, hasAddress: () => true }
    expect(target("127.0.0.1", "127.0.0.10", { seen })).toBe("tap 192.0.2.1:50000 → 192.0.2.9:22")
    expect(target("fe80::7", "fe80::2", { seen })).toBe("tap [fe80::7]:50000 → [fe80::9]:22")
    expect(target("fe80::7", "2001:db8::77", { seen })).toBe("tap [fe80::7]:50000 → [fe80::9]:22")
    // A datagram to a group has no address that the correspondent used.
    expect(target("2001:db8:2::7", "::", { seen })).toBe("tap [2001:db8:2::7]:50000 → [2001:db8::9]:22")
  })

  it("goes to the listener's address where it has one, of the same IP version", () => {
    const targetAddress = at("192.0.2.77")
    expect(target("198.51.100.7", "192.0.2.2", { targetAddress })).toBe("tap 198.51.100.7:50000 → 192.0.2.77:22")
    expect(target("2001:db8:2::7", "2001:db8::2", { targetAddress })).toBe("forward: no address of the guest")
  })

  it("refuses groups, and an IP version that is disabled", () => {
    expect(target("224.0.0.1", "192.0.2.2")).toBe("forward: not a unicast address")
    expect(target("2001:db8:2::7", "2001:db8::2", { used: { v4: {} } })).toBe("forward: IP version disabled")
  })
})

describe("ForwardingPolicy for what is spliced", () => {
  const used: ForwardingRules = { ...rules, splicing: { takesFromHost: true, keepsLoopback: false, isOnly: false } }
  const loopback: ForwardingRules = { ...rules, splicing: { takesFromHost: true, keepsLoopback: true, isOnly: false } }
  const only: ForwardingRules = { ...rules, splicing: { takesFromHost: true, keepsLoopback: false, isOnly: true } }

  it("goes from the host's loopback to the namespace's public address", () => {
    expect(target("127.0.0.1", "127.0.0.10", { used })).toBe("splice 0.0.0.0:0 → 192.0.2.9:22")
    expect(target("::1", "::1", { used })).toBe("splice [::]:0 → [2001:db8::9]:22")
  })

  it("goes to the namespace's loopback where that is asked for", () => {
    expect(target("127.0.0.1", "127.0.0.1", { used: loopback })).toBe("splice 0.0.0.0:0 → 127.0.0.1:22")
    expect(target("127.0.0.1", "127.0.0.9", { used: loopback })).toBe("splice 0.0.0.0:0 → 127.0.0.9:22")
    // Only what was addressed to loopback is delivered there.
    expect(target("127.0.0.1", "192.0.2.2", { used: loopback })).toBe("splice 0.0.0.0:0 → 192.0.2.9:22")
    expect(target("::1", "::1", { used: loopback })).toBe("splice [::]:0 → [::1]:22")
    const targetAddress = at("127.0.0.5")
    expect(target("198.51.100.7", "192.0.2.2", { used, targetAddress })).toBe("splice 0.0.0.0:0 → 127.0.0.5:22")
  })

  it("takes the tap for what comes from elsewhere, and to addresses that only the guest knows", () => {
    expect(target("198.51.100.7", "192.0.2.2", { used })).toBe("tap 198.51.100.7:50000 → 192.0.2.9:22")
    const targetAddress = at("192.0.2.77")
    expect(target("127.0.0.1", "127.0.0.1", { used, targetAddress })).toBe("tap 192.0.2.1:50000 → 192.0.2.77:22")
  })

  it("takes the tap from the host's loopback where the local path is for what begins in the namespace only", () => {
    const outbound: ForwardingRules = {
      ...rules,
      splicing: { takesFromHost: false, keepsLoopback: false, isOnly: false },
    }
    expect(target("127.0.0.1", "127.0.0.1", { used: outbound })).toBe("tap 192.0.2.1:50000 → 192.0.2.9:22")
    const inside = { used: outbound, interface: Interface.splice }
    expect(target("127.0.0.1", "127.0.0.1", inside)).toBe("host 0.0.0.0:0 → 127.0.0.1:22")
  })

  it("goes from the namespace to the host's loopback", () => {
    const inside = { used, interface: Interface.splice }
    expect(target("127.0.0.1", "127.0.0.1", inside)).toBe("host 0.0.0.0:0 → 127.0.0.1:22")
    expect(target("::1", "::1", inside)).toBe("host [::]:0 → [::1]:22")
    // Its own public address doesn't become an address of the host's loopback.
    expect(target("192.0.2.9", "192.0.2.9", inside)).toBe("host 0.0.0.0:0 → 127.0.0.1:22")
  })

  it.each([
    { from: "the namespace", to: "host", circumstances: { used, interface: Interface.splice } },
    { from: "the host", to: "splice", circumstances: { used: loopback } },
    { from: "the host to a namespace without tap", to: "splice", circumstances: { used: only } },
  ])("keeps loopback addresses, both of them, from $from", ({ to, circumstances }) => {
    expect(target("127.0.0.1", "127.0.0.53", circumstances)).toBe(`${to} 0.0.0.0:0 → 127.0.0.53:22`)
    expect(target("127.0.0.5", "127.0.0.53", circumstances)).toBe(`${to} 127.0.0.5:0 → 127.0.0.53:22`)
    expect(target("127.0.0.5", "127.255.255.1", circumstances)).toBe(`${to} 127.0.0.5:0 → 127.255.255.1:22`)
    // A rule's target is used.
    const targetAddress = at("127.0.0.9")
    const elsewhere = { ...circumstances, targetAddress }
    expect(target("127.0.0.1", "127.0.0.53", elsewhere)).toBe(`${to} 0.0.0.0:0 → 127.0.0.9:22`)
  })

  it("goes to the link-local address of a namespace that has no other", () => {
    const seen = { ...guest, lastSeenV6: at("::") }
    expect(target("::1", "::1", { used, seen })).toBe("splice [::]:0 → [fe80::9]:22")
  })

  it("forwards nothing else if there is no tap", () => {
    // The namespace has no public address either.
    expect(target("127.0.0.1", "127.0.0.1", { used: only })).toBe("splice 0.0.0.0:0 → 127.0.0.1:22")
    expect(target("127.0.0.1", "192.0.2.2", { used: only })).toBe("splice 0.0.0.0:0 → 127.0.0.1:22")
    const reason = "forward: not from loopback, and nothing else is forwarded"
    expect(target("198.51.100.7", "192.0.2.2", { used: only })).toBe(reason)
  })
})
