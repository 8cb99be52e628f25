// A guest in memory fetches a page through a whole stack and a relay, as a guest in a browser does.
import { strict as assert } from "node:assert"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Address, Arena, CryptoRandom, Drops } from "@demiflow/core"
import { ForwardingPolicy } from "@demiflow/flow"
import { createStack, stackArenaBytes } from "@demiflow/stack"
import { memoryLinkPair } from "@demiflow/tap"
import { tcp } from "@demiflow/tcp"
import { GuestTcp, ScriptedGuest, VirtualClock } from "@demiflow/testkit"
import { WebLoop, WispSockets } from "@demiflow/web-sockets"
import { relay } from "./relay.ts"
import { WebSocket, type WebSocketOfWs, WebSocketServer } from "./ws.ts"

const server = createServer((request, response) => {
  console.log(`server: ${request.method} ${request.url} HTTP/${request.httpVersion}`)
  response.end("Hello, guest.")
}).listen(0, "127.0.0.1")
await once(server, "listening")

// This relay reaches everything, its own loopback too: everybody involved is this program.
const webSocketServer = new WebSocketServer({ host: "127.0.0.1", port: 0 })
webSocketServer.on("connection", (webSocket: WebSocketOfWs) => relay(webSocket, () => true))
await once(webSocketServer, "listening")

// From here on, everything could as well run in a page.
const plugins = [tcp()]
const arena = new Arena(stackArenaBytes({ plugins }) + (9 << 20))
const [link, guestLink] = memoryLinkPair(arena, arena)
const loop = new WebLoop()
const drops = new Drops()
const sockets = new WispSockets(arena, loop, {
  open: () => new WebSocket(`ws://127.0.0.1:${webSocketServer.address().port}/`),
})
const gateway = { hostLoopback: Address.parse("192.0.2.1") }
const stack = createStack({
  link,
  sockets,
  loop,
  plugins,
  forwarding: new ForwardingPolicy({ v4: gateway, v6: {} }, drops),
  drops,
  random: new CryptoRandom(),
})

const clock = new VirtualClock()
const { port } = server.address() as AddressInfo
const client = new GuestTcp(new ScriptedGuest(guestLink, { clock })).connect({ address: "192.0.2.1", port })
client.write("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nConnection: close\r\n\r\n")
while (!client.isEnded && client.failure === undefined) {
  clock.advance(1)
  stack.framesWait()
  loop.wake()
  await new Promise((resolve) => setTimeout(resolve, 1))
}
const [head, page] = client.receivedText.split("\r\n\r\n")
console.log(`guest: ${head.split("\r\n")[0]}`)
console.log(`guest: ${page}`)
assert.match(page, /Hello, guest\./)

stack.close()
sockets.disconnect()
webSocketServer.close()
server.close()
