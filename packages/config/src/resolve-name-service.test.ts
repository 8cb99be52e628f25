import { describe, expect, test } from "vitest"
import { resolve } from "./resolve.fixture.ts"

describe("name service", () => {
  const names = (argv: string, ...servers: string[]) => {
    const resolvConf = servers.map((server) => `nameserver ${server}\n`).join("")
    const { v4, v6, notices } = resolve(argv, { resolvConf })
    return {
      v4: v4?.nameServers.join(),
      v6: v6?.nameServers.join(),
      forward: [v4?.dnsForward, v4?.dnsHost].join(),
      warnings: notices.filter(({ level }) => level === "warning").length,
      notices: notices.length,
    }
  }

  test("is that of the host", () => {
    expect(names("", "192.0.2.53", "2001:db8::53", "192.0.2.54")).toMatchObject({
      v4: "192.0.2.53,192.0.2.54",
      v6: "2001:db8::53",
      forward: ",",
    })
  })

  test("given by --dns goes to the guest as it is, and resolv.conf's doesn't", () => {
    expect(names("-D 127.0.0.1 -D 192.0.2.9", "192.0.2.53", "2001:db8::53")).toMatchObject({
      v4: "127.0.0.1,192.0.2.9",
      v6: "",
      notices: 0,
    })
    expect(names("-D none", "192.0.2.53")).toMatchObject({ v4: "", v6: "" })
  })

  test("on the host's loopback is reached by the gateway's address, as if it were --dns-forward", () => {
    expect(names("", "127.0.0.53")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,127.0.0.53" })
    expect(names("", "127.0.0.1")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,127.0.0.1" })
  })

  test("on the host's loopback, not the first: only where the mapping leads there", () => {
    expect(names("", "192.0.2.53", "127.0.0.1")).toMatchObject({ v4: "192.0.2.53,88.198.0.161", forward: "," })
    expect(names("", "192.0.2.53", "127.0.0.53")).toMatchObject({ v4: "192.0.2.53", notices: 1 })
  })

  test("on the host's loopback is out of reach without a mapping, and that is said", () => {
    expect(names("--no-map-gw", "127.0.0.53")).toMatchObject({ v4: "", forward: ",", notices: 1, warnings: 0 })
    expect(names("--no-map-gw --dns-forward 10.9.9.53", "127.0.0.53")).toMatchObject({
      v4: "10.9.9.53",
      forward: "10.9.9.53,127.0.0.53",
    })
  })

  test("on a closed host, or at a link-local address, is out of reach but by --dns-forward", () => {
    // The host's own addresses, and one that serves its neighbours.
    for (const server of ["127.0.0.53", "127.0.0.1", "88.198.0.164", "169.254.169.254"]) {
      expect(names("-a 88.198.0.170 --no-host", server)).toMatchObject({
        v4: "",
        forward: ",",
        notices: 1,
        warnings: 0,
      })
      expect(
        names("-a 88.198.0.170 --no-host --map-guest-addr 10.9.9.9 --map-host-loopback 10.9.9.8", server),
      ).toMatchObject({
        v4: "",
      })
      const forwarded = { v4: "10.9.9.53", forward: `10.9.9.53,${server}`, notices: 0 }
      expect(names("-a 88.198.0.170 --no-host --dns-forward 10.9.9.53", server)).toMatchObject(forwarded)
    }
    expect(names("--no-host", "88.198.0.161", "192.0.2.53")).toMatchObject({
      v4: "88.198.0.161,192.0.2.53",
      forward: ",",
    })
  })

  test("by the gateway isn't shadowed by the mapping to loopback", () => {
    expect(names("", "88.198.0.161")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,88.198.0.161" })
    expect(names("", "192.0.2.53", "88.198.0.161")).toMatchObject({
      v4: "192.0.2.53,88.198.0.161",
      forward: "88.198.0.161,192.0.2.53",
    })
  })

  test("that the guest can't reach is replaced by the address of --dns-forward", () => {
    expect(names("--dns-forward 10.9.9.53", "88.198.0.161", "192.0.2.53")).toMatchObject({
      v4: "10.9.9.53,192.0.2.53",
      forward: "10.9.9.53,88.198.0.161",
      notices: 0,
    })
    expect(names("--dns-forward 10.9.9.53 --dns-host 192.0.2.99", "127.0.0.53", "88.198.0.161")).toMatchObject({
      v4: "10.9.9.53",
      forward: "10.9.9.53,192.0.2.99",
      notices: 0,
    })
  })

  test("by the gateway comes before --map-guest-addr at the same address", () => {
    expect(names("--map-guest-addr 88.198.0.161", "88.198.0.161")).toMatchObject({
      v4: "88.198.0.161",
      forward: "88.198.0.161,88.198.0.161",
      notices: 0,
    })
  })

  test("on the address that the guest shares with the host is reached another way", () => {
    expect(names("", "88.198.0.164")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,88.198.0.164" })
    expect(names("--map-guest-addr 10.9.9.8", "192.0.2.53", "88.198.0.164").v4).toBe("192.0.2.53,10.9.9.8")
  })

  test("--dns-forward leads to --dns-host, else to the first name server of the version", () => {
    expect(names("--dns-forward 10.9.9.53", "2001:db8::53", "192.0.2.53").forward).toBe("10.9.9.53,192.0.2.53")
    expect(names("--dns-forward 10.9.9.53 --dns-host 192.0.2.99", "192.0.2.53").forward).toBe("10.9.9.53,192.0.2.99")
    expect(names("--dns-forward 10.9.9.53", "2001:db8::53")).toMatchObject({ forward: ",", warnings: 1 })
  })

  describe("on a link-local address with a zone", () => {
    const scoped = (argv: string, ...servers: string[]) => {
      const resolvConf = servers.map((server) => `nameserver ${server}\n`).join("")
      const { v6, notices } = resolve(argv, { resolvConf })
      const forward = [v6?.dnsForward, v6?.dnsHost, v6?.dnsHostScope].join()
      return { v6: v6?.nameServers.join(), forward, notices: notices.length }
    }

    test("never gets to the guest, but what stands for it does", () => {
      expect(scoped("--dns-forward 2001:db8::d", "fe80::53%eth0")).toEqual({
        v6: "2001:db8::d",
        forward: "2001:db8::d,fe80::53,2",
        notices: 0,
      })
      expect(scoped("", "fe80::53%eth0")).toEqual({ v6: "fe80::1", forward: "fe80::1,fe80::53,2", notices: 0 })
      expect(scoped("", "fe80::1%2")).toEqual({ v6: "fe80::1", forward: "fe80::1,fe80::1,2", notices: 0 })
      expect(scoped("", "2001:db8::53", "fe80::53%eth0")).toEqual({ v6: "2001:db8::53", forward: ",,", notices: 1 })
      expect(scoped("--no-map-gw", "fe80::53%eth0")).toEqual({ v6: "", forward: ",,", notices: 1 })
    })

    test("may be given by --dns-host, and on an interface that isn't there has no scope", () => {
      expect(scoped("--dns-forward 2001:db8::d --dns-host fe80::54%lo", "fe80::53%eth0").forward).toBe(
        "2001:db8::d,fe80::54,1",
      )
      expect(scoped("--dns-forward 2001:db8::d", "fe80::53%gone").forward).toBe("2001:db8::d,fe80::53,")
    })
  })

  test("without any is that of the local machine, where the guest reaches that", () => {
    expect(names("")).toEqual({ v4: "88.198.0.161", v6: "fe80::1", forward: ",", warnings: 0, notices: 0 })
    expect(names("--no-map-gw")).toMatchObject({ v4: "", v6: "", forward: ",", notices: 0 })
    expect(names("--no-map-gw --dns-forward 10.9.9.53")).toMatchObject({
      v4: "10.9.9.53",
      forward: "10.9.9.53,127.0.0.1",
    })
    expect(names("-D none")).toMatchObject({ v4: "", v6: "" })
  })

  test("search domains come from resolv.conf unless given", () => {
    const resolvConf = "search a.example b.example\n"
    expect(resolve("", { resolvConf }).searchDomains).toEqual(["a.example", "b.example"])
    expect(resolve("-S c.example", { resolvConf }).searchDomains).toEqual(["c.example"])
    expect(resolve("-S none", { resolvConf }).searchDomains).toEqual([])
    expect(resolve("-S .", { resolvConf }).searchDomains).toEqual([])
    expect(resolve("-S none.", { resolvConf }).searchDomains).toEqual(["none."])
  })
})
