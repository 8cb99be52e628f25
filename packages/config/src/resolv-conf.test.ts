import { expect, test } from "vitest"
import { parseResolvConf } from "./resolv-conf.ts"

test("name servers and search domains", () => {
  const { nameServers, searchDomains } = parseResolvConf(
    [
      "# nameserver 192.0.2.1",
      "; nameserver 192.0.2.2",
      "nameserver 192.0.2.3   ",
      "nameserver\t2001:db8::3",
      "nameserver fe80::1%eth0",
      "nameserver fe80::2",
      "nameserver 2001:db8::4%eth0",
      "nameserver 192.0.2.4%eth0",
      "nameserver fe80::3%",
      "nameserver nonsense",
      "nameserver 0.0.0.0",
      "nameserver",
      "options edns0",
      "domain first.example",
      "search second.example third.example. .",
    ].join("\n"),
  )
  expect(nameServers.map(({ address, zone }) => (zone === undefined ? `${address}` : `${address}%${zone}`))).toEqual([
    "192.0.2.3",
    "2001:db8::3",
    "fe80::1%eth0",
    "fe80::2",
    "2001:db8::4",
  ])
  expect(searchDomains).toEqual(["second.example", "third.example."])
})

test("the last of domain and search counts", () => {
  expect(parseResolvConf("search a.example\ndomain b.example\n").searchDomains).toEqual(["b.example"])
  expect(parseResolvConf("search a.example\nsearch .\n").searchDomains).toEqual([])
})

test("an empty file says nothing", () => {
  expect(parseResolvConf("")).toEqual({ nameServers: [], searchDomains: [] })
})
