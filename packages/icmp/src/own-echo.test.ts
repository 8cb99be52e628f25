import { Address } from "@demiflow/core"
import { build, check, type MemoryStackOptions, patternBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { icmpStack } from "./test-support.ts"

const ourAddresses = ["192.0.2.1", "fe80::9855:9aff:fe55:9a55", "2001:db8::1"].map(Address.parse)
const stackWith = (options: MemoryStackOptions = {}) => icmpStack(options, { ourAddresses })

// RFC 4443 4.2 (group)
describe("an echo request to a group that we are in is answered by ourselves", () => {
  test.each([
    ["all hosts", "192.0.2.2", "224.0.0.1", "192.0.2.1"],
    ["all nodes", "fe80::2", "ff02::1", "fe80::9855:9aff:fe55:9a55"],
    ["all nodes, from a global address", "2001:db8::2", "ff02::1", "fe80::9855:9aff:fe55:9a55"],
    ["all routers", "fe80::2", "ff02::2", "fe80::9855:9aff:fe55:9a55"],
    ["the solicited nodes of our link-local address", "fe80::2", "ff02::1:ff55:9a55", "fe80::9855:9aff:fe55:9a55"],
    ["those of another address of ours", "fe80::2", "ff02::1:ff00:1", "fe80::9855:9aff:fe55:9a55"],
  ])("%s", (_, from, group, ours) => {
    const { guest, sockets, drops } = stackWith()
    const version = from.includes(":") ? 6 : 4
    for (const length of [0, 1, 3000]) {
      guest.send(build.ip(from, group, 1), build.echoRequest(version, 7, length), build.patternPayload(length))
      guest.expect(
        check.ip({ source: ours, target: from }),
        check.icmp({ type: version === 4 ? 0 : 129, code: 0, identifier: 7, sequence: length }),
        check.payload(patternBytes(length)),
      )
    }
    guest.expectNothing()
    expect([sockets.opened, drops.total]).toEqual([0, 0])
  })
})

describe("it is dropped", () => {
  test.each([
    ["to another group", "192.0.2.2", "224.0.0.251"],
    ["to everybody", "192.0.2.2", "255.255.255.255"],
    ["to another group of the link", "fe80::2", "ff02::fb"],
    ["to a group of the site", "fe80::2", "ff05::1"],
    ["to solicited nodes that we aren't", "fe80::2", "ff02::1:ff55:9a56"],
    ["from nobody", "::", "ff02::1"],
    ["from nobody over IPv4", "0.0.0.0", "224.0.0.1"],
  ])("%s", (_, from, group) => {
    const { guest, sockets, drops } = stackWith()
    guest.send(build.ip(from, group), build.echoRequest(from.includes(":") ? 6 : 4, 7, 1))
    guest.expectNothing()
    expect(sockets.opened).toBe(0)
    expect(drops.entries()).toEqual([["forward: not a unicast address", 1]])
  })
})
