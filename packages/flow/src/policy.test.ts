import { Address, Demiflow, Drops, Interface, Ruling, Verdict } from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { ForwardingPolicy } from "./policy.ts"
import type { ForwardingRules } from "./rules.ts"

const TCP = 6
const UDP = 17
const ICMP = 1
const at = Address.parse

const rules: ForwardingRules = {
  v4: {
    hostLoopback: at("192.0.2.1"),
    guestAlias: at("169.254.1.2"),
    guestAddress: at("192.0.2.2"),
    dnsForward: at("192.0.2.1"),
    dnsHost: at("127.0.0.53"),
  },
  v6: { hostLoopback: at("fe80::1"), outboundAddress: at("2001:db8::9") },
}

function asked(address: string, port: number, from: string, fromPort = 40_000): Demiflow {
  return Demiflow.of(Interface.tap, at(address), port, at(from), fromPort)
}

function target(protocol: number, side: Demiflow, used = rules): string {
  const drops = new Drops()
  const policy = new ForwardingPolicy(used, drops)
  const ruling = new Ruling()
  const verdict = policy.target(protocol, side, ruling)
  if (verdict === Verdict.forward) return ruling.target.toString()
  drops.count(ruling.reason)
  return drops.entries()[0][0]
}

describe("ForwardingPolicy", () => {
  it("leaves an ordinary correspondent as it is, and the source to the host", () => {
    expect(target(TCP, asked("198.51.100.7", 80, "192.0.2.2"))).toBe("host 0.0.0.0:0 → 198.51.100.7:80")
  })

  it("keeps the source port of UDP and the identifier of echo, and of TCP a port that no system chooses", () => {
    expect(target(TCP, asked("198.51.100.7", 2049, "192.0.2.2", 700))).toBe("host 0.0.0.0:700 → 198.51.100.7:2049")
    expect(target(TCP, asked("198.51.100.7", 2049, "192.0.2.2", 32_767))).toBe("host 0.0.0.0:32767 → 198.51.100.7:2049")
    expect(target(TCP, asked("198.51.100.7", 2049, "192.0.2.2", 32_768))).toBe("host 0.0.0.0:0 → 198.51.100.7:2049")
    expect(target(UDP, asked("198.51.100.7", 123, "192.0.2.2"))).toBe("host 0.0.0.0:40000 → 198.51.100.7:123")
    expect(target(ICMP, asked("198.51.100.7", 7, "192.0.2.2"))).toBe("host 0.0.0.0:40000 → 198.51.100.7:7")
  })

  it("maps the gateway to the host's loopback, both ends", () => {
    expect(target(TCP, asked("192.0.2.1", 8080, "192.0.2.2"))).toBe("host 127.0.0.1:0 → 127.0.0.1:8080")
    expect(target(TCP, asked("fe80::1", 8080, "2001:db8::2"))).toBe("host [::1]:0 → [::1]:8080")
  })

  it("sends DNS to the resolver, and only DNS", () => {
    expect(target(UDP, asked("192.0.2.1", 53, "192.0.2.2"))).toBe("host 127.0.0.1:40000 → 127.0.0.53:53")
    expect(target(TCP, asked("192.0.2.1", 853, "192.0.2.2"))).toBe("host 127.0.0.1:0 → 127.0.0.53:853")
    expect(target(ICMP, asked("192.0.2.1", 53, "192.0.2.2"))).toBe("host 127.0.0.1:40000 → 127.0.0.1:53")
  })

  it("sends questions to the resolver's own port, but DNS over TLS to its own", () => {
    const moved = { v4: { ...rules.v4, dnsHostPort: 5_353 } }
    expect(target(UDP, asked("192.0.2.1", 53, "192.0.2.2"), moved)).toBe("host 127.0.0.1:40000 → 127.0.0.53:5353")
    expect(target(TCP, asked("192.0.2.1", 853, "192.0.2.2"), moved)).toBe("host 127.0.0.1:0 → 127.0.0.53:853")
    expect(target(UDP, asked("198.51.100.7", 53, "192.0.2.2"), moved)).toBe("host 0.0.0.0:40000 → 198.51.100.7:53")
  })

  it("maps the alias to the address that the guest shadows", () => {
    expect(target(TCP, asked("169.254.1.2", 22, "192.0.2.2"))).toBe("host 0.0.0.0:0 → 192.0.2.2:22")
  })

  it("binds to the outbound address where one is given", () => {
    expect(target(TCP, asked("2001:db8:2::7", 80, "2001:db8::2"))).toBe("host [2001:db8::9]:0 → [2001:db8:2::7]:80")
    const policy = new ForwardingPolicy(rules, new Drops())
    expect([policy.hasOutboundAddress(true), policy.hasOutboundAddress(false)]).toEqual([false, true])
  })

  it.each([
    ["127.0.0.1", "192.0.2.2", "forward: loopback address from the guest"],
    ["198.51.100.7", "127.0.0.1", "forward: loopback address from the guest"],
    ["::1", "2001:db8::2", "forward: loopback address from the guest"],
    ["0.0.0.0", "192.0.2.2", "forward: not a unicast address"],
    ["255.255.255.255", "192.0.2.2", "forward: not a unicast address"],
    ["198.51.100.7", "224.0.0.1", "forward: not a unicast address"],
    ["ff01::1", "2001:db8::2", "forward: not a unicast address"],
    ["198.51.100.7", "0.0.0.0", "forward: not a unicast address"],
  ])("refuses %s from %s: %s", (address, from, reason) => {
    expect(target(UDP, asked(address, 53, from))).toBe(reason)
  })

  it("lets datagrams go to groups outside, and nothing else", () => {
    expect(target(UDP, asked("224.0.0.251", 5353, "192.0.2.2"))).toBe("host 0.0.0.0:40000 → 224.0.0.251:5353")
    expect(target(UDP, asked("ff05::c", 1900, "2001:db8::2"))).toBe("host [2001:db8::9]:40000 → [ff05::c]:1900")
    expect(target(TCP, asked("224.0.0.251", 5353, "192.0.2.2"))).toBe("forward: not a unicast address")
    expect(target(UDP, asked("ff02::1:2", 547, "2001:db8::2"))).toBe("forward: not a unicast address")
  })

  it("refuses an IP version that is disabled, and sides that no rule speaks of", () => {
    expect(target(TCP, asked("2001:db8::7", 80, "2001:db8::2"), { v4: {} })).toBe("forward: IP version disabled")
    const fromHost = asked("198.51.100.7", 80, "192.0.2.2")
    fromHost.interface = Interface.host
    expect(target(TCP, fromHost)).toBe("forward: no rule")
  })

  it("answers the guest's name for a third party", () => {
    const policy = new ForwardingPolicy(rules, new Drops())
    const translated = (address: string) => {
      const value = at(address)
      policy.translateToGuest(value)
      return value.toString()
    }
    expect(translated("127.0.0.1")).toBe("192.0.2.1")
    expect(translated("192.0.2.2")).toBe("169.254.1.2")
    expect(translated("203.0.113.9")).toBe("203.0.113.9")
    expect(translated("::1")).toBe("fe80::1")
  })
})

describe("the nine points of docs/addresses.md", () => {
  it("9. a pure forwarding policy that derives the target side from the initiating side", () => {
    const side = asked("192.0.2.1", 8080, "192.0.2.2")
    const before = side.clone()
    expect(target(TCP, side)).toBe(target(TCP, side))
    expect(side.equals(before)).toBe(true)
  })

  it("3. Side, forwarding and correspondent are the terms everywhere.", () => {
    const demiflow = asked("198.51.100.7", 80, "192.0.2.2")
    expect(Object.keys(demiflow).sort()).toEqual([
      "correspondentAddress",
      "correspondentPort",
      "forwardingAddress",
      "forwardingPort",
      "interface",
    ])
  })
})
