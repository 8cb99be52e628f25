// npm run trial: starts the relay, and connects as a page's guest does: a binary message is a frame.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { build, buildPacket, describePacket, parseFrame } from "@demiflow/testkit"
import { WebSocket } from "ws"

const mac = "02:00:00:00:00:02"
const question = buildPacket(
  build.ethernet({ source: mac }),
  build.arp({ operation: "request", senderMac: mac, senderAddress: "10.0.2.15", targetAddress: "10.0.2.2" }),
)

const relay = spawn(process.execPath, ["dist/main.js", "8087"], { stdio: ["ignore", "pipe", "inherit"] })
const [url] = await once(relay.stdout, "data")
const socket = new WebSocket(`${String(url).trim().replace("http", "ws")}guest`)
const answered = new Promise((resolve, reject) => {
  socket.on("close", () => reject(new Error("the relay has closed the connection")))
  socket.on("message", (message) => {
    const text = describePacket(parseFrame(new Uint8Array(message)))
    console.log(`guest ← ${text}`)
    if (text.startsWith("ARP reply 10.0.2.2")) resolve(text)
  })
})
await once(socket, "open")
console.log(`guest → ${describePacket(parseFrame(question))}`)
socket.send(question)
await answered
socket.terminate()
relay.kill()
