// A network for each page that connects, with a port of this machine that leads to its guest.
import { createReadStream, existsSync } from "node:fs"
import { createServer } from "node:http"
import { basename, extname, join } from "node:path"
import { pipeline } from "node:stream"
import { createGateway, type Gateway } from "@demiflow/gateway"
import { webSocketLink } from "@demiflow/packet-link"
import { WebSocketServer } from "ws"

const [port = "8086", options = "{}"] = process.argv.slice(2)
const folders = ["../page", ".", "../../../node_modules/v86/build", "../../../node_modules/.cache/demiflow-v86"]
const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" }
const guestPorts = Array.from({ length: 16 }, (_, index) => 8_100 + index)
const networks = new Map<string, { guestPort: number; gateway: Gateway }>()
// Files; and under the path at which a page has connected, the flows of its guest.
const server = createServer(({ url = "/" }, response) => {
  const path = folders.map((each) => join(import.meta.dirname, each, basename(url) || "index.html")).find(existsSync)
  const { gateway, guestPort } = networks.get(url) ?? {}
  response.setHeader("content-type", types[extname(path ?? "")] ?? "application/octet-stream")
  if (path) pipeline(createReadStream(path), response, () => {})
  else response.end(gateway && JSON.stringify({ guestPort, flows: [...gateway.flows] }))
})
// Frames. Pages of others, guests among them, must not reach this machine; programs name no origin.
const isOurs = ({ origin = "" }) => ["", `http://127.0.0.1:${port}`, `http://localhost:${port}`].includes(origin)
const sockets = new WebSocketServer({ server, maxPayload: 1_514, verifyClient: isOurs })
sockets.on("connection", async (socket, { url = "" }) => {
  const guestPort = guestPorts.shift()
  if (guestPort === undefined) return socket.close(1013, "no port is left")
  const closed = new Promise((resolve) => socket.on("error", console.error).on("close", resolve))
  socket.pause() // Frames wait for the link.
  const forward = [{ protocol: "tcp", port: guestPort, address: "127.0.0.1", to: 80 }] as const
  const made = createGateway({ link: (arena) => webSocketLink(arena, socket), forward, ...JSON.parse(options) })
  const gateway = await made.catch(console.error)
  if (gateway && socket.readyState === socket.OPEN) networks.set(url, { guestPort, gateway })
  else socket.close(1011)
  socket.resume()
  await closed.then(() => gateway?.close())
  if (guestPorts.push(guestPort) && networks.get(url)?.gateway === gateway) networks.delete(url)
})
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`))
