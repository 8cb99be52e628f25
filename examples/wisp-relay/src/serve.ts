// A relay for the pages of this machine: `npm run serve [port]`.
import { isPublic } from "./allowed.ts"
import { relay } from "./relay.ts"
import { serverOptions } from "./server-options.ts"
import { type WebSocketOfWs, WebSocketServer } from "./ws.ts"

const port = Number(process.argv[2] ?? 8_080)
const server = new WebSocketServer({ host: "127.0.0.1", port, ...serverOptions })
server.on("connection", (webSocket: WebSocketOfWs) => relay(webSocket, isPublic))
server.on("listening", () => console.log(`relay at ws://127.0.0.1:${server.address().port}/`))
