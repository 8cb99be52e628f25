// Serves the page, and relays bytes for it. This program knows nothing of guests, their addresses or their packets.
import { createReadStream, existsSync } from "node:fs"
import { createServer } from "node:http"
import { basename, extname, join } from "node:path"
import { pipeline } from "node:stream"
import { WebSocketServer } from "ws"
import { relay } from "../../wisp-relay/src/relay.ts"
import { serverOptions } from "../../wisp-relay/src/server-options.ts"

const [port = "8087"] = process.argv.slice(2)
const modules = "../../../node_modules"
const folders = ["../../v86-relay/page", ".", `${modules}/v86/build`, `${modules}/.cache/demiflow-v86`]
const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" }

const server = createServer(({ url = "/" }, response) => {
  const name = basename(url.replace(/\?.*/, "")) || "index.html"
  const path = folders.map((folder) => join(import.meta.dirname, folder, name)).find(existsSync)
  response.writeHead(path ? 200 : 404, { "content-type": types[extname(name)] ?? "application/octet-stream" })
  if (path) pipeline(createReadStream(path), response, () => {})
  else response.end()
})
const sockets = new WebSocketServer({ server, ...serverOptions })
sockets.on("connection", (socket) => relay(socket, () => true))
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`))
