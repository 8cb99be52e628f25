/**
 * A gigabyte each way at once, by the sockets of `@demiflow/node-sockets` at both ends: two gateways face each other,
 * each the other's guest, so that the guest costs no more than the gateway.
 */
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { Arena } from "@demiflow/core"
import { memoryLinkPair } from "@demiflow/tap"
import { expect, test } from "vitest"
import { createGateway, gatewayArenaBytes } from "./gateway.ts"
import { freePort } from "./test-support.ts"

const GIGABYTE = 1e9
const MTU = 65_520
const QUEUE_BYTES = 4 << 20
const [NEAR, FAR] = ["10.0.2.2", "10.0.2.15"]
const PIECE = randomBytes(1 << 20)

/** Sends a gigabyte in pieces that begin at places of their own, and then ends. Resolves to its hash. */
async function send(socket: Socket): Promise<string> {
  const hash = createHash("sha256")
  for (let left = GIGABYTE; left > 0; ) {
    const start = Math.floor(left / 7) % 4_093
    const piece = PIECE.subarray(start, start + Math.min(left, PIECE.length - start))
    left -= piece.length
    hash.update(piece)
    if (!socket.write(piece)) await once(socket, "drain")
  }
  socket.end()
  return hash.digest("hex")
}

/** Receives until the end. Resolves to the hash of what has arrived. */
async function receive(socket: Socket): Promise<string> {
  const hash = createHash("sha256")
  socket.on("data", (bytes) => hash.update(bytes))
  await once(socket, "end")
  return hash.digest("hex")
}

test("a gigabyte goes each way at once, each byte in its place, to orderly ends", async () => {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const arena = new Arena(2 * (gatewayArenaBytes() + QUEUE_BYTES) + (1 << 20))
  const [link, otherLink] = memoryLinkPair(arena, arena, { capabilities: { mtu: MTU }, queueBytes: QUEUE_BYTES })
  const port = await freePort()
  const to = (server.address() as { port: number }).port
  const common = { socketsKind: "node", v6: false, nameServers: [] } as const
  const forward = [{ protocol: "tcp", address: "127.0.0.1", port, to }] as const
  const gateways = [
    await createGateway({ ...common, link, v4: { guest: FAR, gateway: NEAR }, forward }),
    await createGateway({ ...common, link: otherLink, v4: { guest: NEAR, gateway: FAR } }),
  ]
  const client = connect({ host: "127.0.0.1", port, allowHalfOpen: true })
  const [accepted] = await once(server, "connection")
  const ends = [send(client), receive(accepted), send(accepted), receive(client)]
  const [sentUp, receivedUp, sentDown, receivedDown] = await Promise.all(ends)
  expect([receivedUp, receivedDown]).toEqual([sentUp, sentDown])
  for (const gateway of gateways) gateway.close()
  server.close()
}, 300_000)
