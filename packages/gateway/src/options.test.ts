import { Arena } from "@demiflow/core"
import { NodeLoop, NodeSockets } from "@demiflow/node-sockets"
import { memoryLinkPair } from "@demiflow/tap"
import { expect, test, vi } from "vitest"
import { createGateway } from "./gateway.ts"
import { GatewayError } from "./gateway-error.ts"
import { hostNameService } from "./name-servers.ts"
import type { GatewayOptions } from "./options.ts"
import { TestGuest, type TestOptions } from "./test-support.ts"

const port = 8_080

test.each<[TestOptions, string | RegExp]>([
  [{ v4: { network: "10.0.2.0" } }, 'v4.network is "10.0.2.0": it must be a network such as 10.0.2.0/24'],
  [{ v6: { network: "fd00::/48" } }, 'v6.network is "fd00::/48": it must be a /64 such as fd9a:559a:559a:2::/64'],
  [{ v4: { network: "10.0.2.250/24" } }, 'v4.network is "10.0.2.250/24": it must be a network such as 10.0.2.0/24'],
  [{ v4: { guest: "10.0.2.255" } }, "v4.guest is 10.0.2.255: it must be an address of 10.0.2.0/24"],
  [{ v4: { gateway: "10.0.2.0" } }, "v4.gateway is 10.0.2.0: it must be an address of 10.0.2.0/24"],
  [{ v4: { guest: "10.0.3.1" } }, "v4.guest is 10.0.3.1: it must be an address of 10.0.2.0/24"],
  [{ v4: { gateway: "nowhere" } }, 'v4.gateway is "nowhere": it must be an IP address'],
  [{ v4: { guest: "10.0.2.2" } }, "v4.guest is 10.0.2.2: the gateway or the name server has that address"],
  [{ v4: false, v6: false }, "v4 and v6 are false: the guest needs one of them"],
  [{ mtu: 1_000 }, "mtu is 1000: it must be from 1280 to 65535"],
  [{ nameServers: "192.0.2.1" as never }, "nameServers must be a list"],
  [{ nameServers: [null as never] }, "nameServers[0] is null: it must be an IP address"],
  [{ nameServers: ["ff02::1"] }, "nameServers[0] is ff02::1: it must be the address of one server"],
  [{ nameServers: ["192.0.2.7%lo"] }, "nameServers[0] is 192.0.2.7%lo: only link-local IPv6 addresses have a zone"],
  [{ nameServers: ["::1%lo"] }, "nameServers[0] is ::1%lo: only link-local IPv6 addresses have a zone"],
  [
    { nameServers: ["fe80::1%"] },
    "nameServers[0] is fe80::1%: the host must have an interface of that name, with IPv6",
  ],
  [{ nameServers: [{ address: "192.0.2.1", port: 0 }] }, "nameServers[0].port is 0: it must be from 1 to 65535"],
  [{ searchDomains: "example.org" as never }, "searchDomains must be a list"],
  [{ searchDomains: ["a", ""] }, 'searchDomains[1] is "": it must be a domain such as example.org'],
  [{ searchDomains: ["a..b"] }, 'searchDomains[0] is "a..b": it must be a domain such as example.org'],
  [{ searchDomains: [`${"a".repeat(64)}.org`] }, /^searchDomains\[0\] is "a{64}.org": it must be a domain/],
  ...["true", 1, 0, null, [], {}, { isOwn: true }].map((closedHost): [TestOptions, string] => [
    { closedHost: closedHost as never },
    "closedHost must be true, false, or an object with the function isOwn",
  ]),
  [{ mostFlows: 0 }, "mostFlows is 0: it must be from 1 to 4194304"],
  [{ forward: [{ protocol: "sctp" as "tcp", port }] }, 'protocol is "sctp": it must be "tcp" or "udp"'],
  [{ forward: [{ protocol: "tcp", port: 0 }] }, "port is 0: it must be a port from 1 to 65535"],
  [{ forward: [{ protocol: "tcp", port, to: 65_536 }] }, "to is 65536: it must be a port from 1 to 65535"],
])("%j is refused in one sentence", async (options, message) => {
  await expect(TestGuest.open(options)).rejects.toThrow(
    expect.objectContaining({
      constructor: GatewayError,
      code: "ERR_GATEWAY_OPTION",
      message: typeof message === "string" ? message : expect.stringMatching(message),
    }),
  )
})

test("a zone is refused where sockets are passed, which can't be handed an interface", async () => {
  const arena = new Arena(16 << 20)
  const loop = new NodeLoop()
  const passed = { sockets: new NodeSockets(arena, loop), loop }
  const [link] = memoryLinkPair(arena, arena, { queueBytes: 65_536 })
  await expect(createGateway({ link, ...passed, nameServers: ["fe80::53%lo"] })).rejects.toThrow(
    "nameServers[0] is fe80::53%lo: sockets that are passed must know the interface, so pass the address without it",
  )
  const gateway = await createGateway({ link, ...passed, nameServers: ["fe80::53"] })
  gateway.close()
})

test("a link of another arena is refused, and a missing one", async () => {
  const stays = await TestGuest.open()
  const [link] = memoryLinkPair(new Arena(4 << 20), new Arena(4 << 20))
  const message = "link is on another arena than the sockets: pass a function that makes it on the arena it is passed"
  await expect(createGateway({ link })).rejects.toThrow(message)
  await expect(createGateway({} as GatewayOptions)).rejects.toThrow("link is missing")
  stays.gateway.close()
})

test("a runtime that sys doesn't run on gets other sockets, or one clear error", async () => {
  vi.stubGlobal("Deno", {})
  try {
    await expect(TestGuest.open({ socketsKind: "sys" })).rejects.toThrow(
      expect.objectContaining({
        code: "ERR_GATEWAY_SOCKETS",
        message:
          "There are no sockets for a gateway here (@demiflow/sys doesn't run under Deno): pass sockets and loop",
      }),
    )
    const { gateway } = await TestGuest.open()
    expect(gateway.socketsKind).toBe("node")
    gateway.close()
  } finally {
    vi.unstubAllGlobals()
  }
})

test("a link with a small MTU is refused with IPv6 only", async () => {
  const link = (arena: Arena) => memoryLinkPair(arena, arena, { capabilities: { mtu: 1_000 }, queueBytes: 65_536 })[0]
  await expect(createGateway({ link })).rejects.toThrow("The link's MTU is 1000: IPv6 needs 1280, so pass v6: false")
  const gateway = await createGateway({ link, v6: false })
  gateway.close()
})

test("name servers are those of the host that need no interface, or the host itself", () => {
  const names = ({ v4, v6 }: ReturnType<typeof hostNameService>) => [v4, v6].map((each) => each && `${each.address}`)
  expect(names(hostNameService(true, "nameserver fe80::1%nosuch0\nnameserver 192.0.2.7\nsearch example.org"))).toEqual([
    "192.0.2.7",
    undefined,
  ])
  expect(names(hostNameService(true, ""))).toEqual(["127.0.0.1", "::1"])
})
