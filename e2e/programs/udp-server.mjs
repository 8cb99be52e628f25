// A UDP server that sends every datagram back, unless it is a request in JSON:
//
//   {"do": "size", "bytes", "seed"}   answers with that much of the pattern
//   {"do": "intrude"}                 others (another address, another port) send first; then answers
//   {"do": "who"}                     answers with the client's address as it sees it, and the port that it was asked at
//   {"do": "count", "name"}           says on standard output that it was there; answers nothing
//
// Request: {"listen": [{"address", "port", "isDualStack"}]}: the first two addresses of a family know each other.
import dgram from "node:dgram"
import { slice } from "./pattern.mjs"

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)
const { listen } = JSON.parse(process.argv[2])
const sockets = []

function bind(address, port, isDualStack = false) {
  return new Promise((resolve, reject) => {
    const type = address.includes(":") ? "udp6" : "udp4"
    const socket = dgram.createSocket({
      type,
      ipv6Only: type === "udp6" && !isDualStack,
      recvBufferSize: 4_000_000,
      sendBufferSize: 4_000_000,
    })
    socket.once("error", reject)
    socket.bind(port, address, () => {
      socket.off("error", reject)
      socket.on("error", () => {})
      resolve(socket)
    })
  })
}

const behaviours = {
  size(socket, { bytes, seed }, from) {
    socket.send(slice(seed, 0, bytes), from.port, from.address)
  },
  async intrude(socket, _request, from) {
    const others = sockets.filter((other) => other !== socket && other.address().family === socket.address().family)
    const strangers = [...others, await bind(socket.address().address, 0)]
    let left = strangers.length
    for (const stranger of strangers) {
      const isSameAddress = stranger.address().address === socket.address().address
      stranger.send(isSameAddress ? "from another port" : "from a stranger", from.port, from.address, () => {
        if (--left === 0) socket.send("from the one that was asked", from.port, from.address)
      })
    }
  },
  who(socket, _request, from) {
    const { address, port } = from
    socket.send(JSON.stringify({ address, port, localPort: socket.address().port }), port, address)
  },
  count(_socket, { name }, from) {
    say({ event: "datagram", name, address: from.address, port: from.port })
  },
}

for (const { address, port, isDualStack } of listen) {
  const socket = await bind(address, port, isDualStack)
  sockets.push(socket)
  socket.on("message", (message, from) => {
    if (message.length < 200 && message.subarray(0, 5).toString() === '{"do"') {
      const request = JSON.parse(message.toString())
      behaviours[request.do](socket, request, from)
    } else socket.send(message, from.port, from.address)
  })
}
say("ready")
