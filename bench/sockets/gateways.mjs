// Two gateways that face each other, each the other's guest, in a process of their own. A port at an address of the
// host's loopback leads to the same port at another one: through the near gateway, the far gateway, and sockets at both
// ends.
import { Arena } from "@demiflow/core"
import { createGateway, gatewayArenaBytes } from "@demiflow/gateway"
import { memoryLinkPair } from "@demiflow/tap"

const MTU = 65_520
/** More than the largest window: a full queue would lose frames, and timeouts would be measured. */
const QUEUE_BYTES = 16 << 20
/** For the sockets of both, and the loop. */
const SOCKETS_BYTES = 16 << 20
/** The far gateway stands for the near one's guest, and for the host's 127.0.0.1. */
const [NEAR, FAR] = ["10.0.2.2", "10.0.2.15"]

const [kind, address, port] = process.argv.slice(2)
const common = /** @type {const} */ ({ socketsKind: kind === "sys" ? "sys" : "node", v6: false, nameServers: [] })
const forward = /** @type {const} */ ({ protocol: "tcp", address, port: Number(port) })
const arena = new Arena(2 * (gatewayArenaBytes() + QUEUE_BYTES) + SOCKETS_BYTES)
const [link, otherLink] = memoryLinkPair(arena, arena, { capabilities: { mtu: MTU }, queueBytes: QUEUE_BYTES })
await createGateway({ ...common, link, v4: { guest: FAR, gateway: NEAR }, forward: [forward] })
await createGateway({ ...common, link: otherLink, v4: { guest: NEAR, gateway: FAR } })
process.on("disconnect", () => process.exit())
process.send?.("ready")
