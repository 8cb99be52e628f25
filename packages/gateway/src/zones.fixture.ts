/**
 * A program for a network namespace with a link that has both of its ends here: the host is on one0, its name server on
 * one1. It prints what the guest of each gateway is answered.
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { build, payload } from "@demiflow/testkit"
import { GUEST_V6, TestGuest } from "./test-support.ts"

const DNS_V6 = "fd9a:559a:559a:2::3"

const server = createSocket("udp6").bind(53, "fe80::2%one1")
server.on("message", (text, { address, port }) => server.send(`${text}: answered`, port, address))
await once(server, "listening")
for (const socketsKind of ["sys", "node"] as const) {
  // The first of these has the host's resolv.conf, which names the same server by the index of the interface.
  for (const options of [{}, { nameServers: ["fe80::2%one0"] }]) {
    const guest = await TestGuest.open({ socketsKind, ...options })
    const ports = build.udp({ sourcePort: 4_000, targetPort: 53 })
    guest.guest.send(build.ip(GUEST_V6, DNS_V6), ports, payload(`${socketsKind}, ${Object.keys(options)}`))
    const { payload: answer, ip } = await guest.frame((frame) => frame.udp !== undefined)
    console.log(`${new TextDecoder().decode(answer)} from ${ip?.source}`)
    guest.gateway.close()
  }
}
for (const zone of ["nosuch0", "one0%junk"]) {
  const failure = await TestGuest.open({ nameServers: [`fe80::2%${zone}`] }).catch((error) => error)
  console.log(failure.code, failure.message)
}
server.close()
