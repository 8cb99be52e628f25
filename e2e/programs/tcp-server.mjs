// A TCP server that does what the first line of each connection says, as JSON:
//
//   {"do": "send", "bytes", "seed", "name"}  sends the pattern, then FIN; if named, says on standard output that all is sent
//   {"do": "receive"}                       reads up to the FIN, answers {bytes, sha256}
//   {"do": "echo"}                          sends everything back
//   {"do": "answer-after-end", "bytes", "seed"}  sends only after the client's FIN
//   {"do": "end-first"}                     sends FIN at once, then reads; says what it got on standard output
//   {"do": "reset", "after"}                reads that many more bytes and resets the connection
//   {"do": "hold", "name"}                  says that it is there, sends nothing more, and says when it is closed
//   {"do": "report", "name"}                reads everything and says on standard output how it ended
//   {"do": "slow-read", "rate"}             reads that many bytes per second, answers {bytes, sha256}
//   {"do": "slow-send", "rate", "bytes", "seed"}
//   {"do": "who"}                           answers with both addresses as it sees them
//
// Request: {"listen": [{"address", "port", "isDualStack"}]}. Prints "ready", then one JSON line per event. A line on
// standard input makes the slow ones that are under way go on as fast as they can.
import { createHash } from "node:crypto"
import net from "node:net"
import { send, slice } from "./pattern.mjs"

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)

/** What makes the slow ones fast. */
const hurry = new Set()

process.stdin.on("data", () => {
  for (const callback of hurry) callback()
  hurry.clear()
})

/** Reads to the FIN; gives the number of bytes and their hash. */
function receive(socket, first) {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256").update(first)
    let bytes = first.length
    socket.on("data", (piece) => {
      hash.update(piece)
      bytes += piece.length
    })
    socket.on("end", () => resolve({ bytes, sha256: hash.digest("hex") }))
    socket.on("error", (error) => reject(Object.assign(error, { bytes })))
    socket.resume()
  })
}

const behaviours = {
  async send(socket, request) {
    await send(socket, request.seed, request.bytes)
    socket.end()
    if (request.name !== undefined) say({ event: "sent", name: request.name })
    socket.resume()
  },
  async receive(socket, _request, rest) {
    socket.end(JSON.stringify(await receive(socket, rest)))
  },
  async echo(socket, _request, rest) {
    socket.write(rest)
    socket.pipe(socket)
  },
  async "answer-after-end"(socket, request, rest) {
    await receive(socket, rest)
    await send(socket, request.seed, request.bytes)
    socket.end()
  },
  async "end-first"(socket, request, rest) {
    socket.end("bye")
    say({ event: "received", name: request.name, ...(await receive(socket, rest)) })
  },
  async reset(socket, request, rest) {
    let left = request.after - rest.length
    const reset = () => socket.resetAndDestroy()
    if (left <= 0) return reset()
    socket.on("data", (piece) => {
      left -= piece.length
      if (left <= 0) reset()
    })
    socket.resume()
  },
  async hold(socket, request) {
    socket.on("close", () => say({ event: "closed", name: request.name }))
    socket.on("end", () => socket.end())
    socket.resume()
    socket.write("held")
    say({ event: "held", name: request.name })
  },
  async report(socket, request, rest) {
    socket.write("here")
    say({ event: "here", name: request.name })
    await receive(socket, rest).then(
      ({ bytes }) => say({ event: "ended", name: request.name, how: "FIN", bytes }),
      (error) => say({ event: "ended", name: request.name, how: error.code, bytes: error.bytes }),
    )
    socket.end()
  },
  async "slow-read"(socket, { rate }, rest) {
    const hash = createHash("sha256").update(rest)
    let bytes = rest.length
    let slow = true
    hurry.add(() => {
      slow = false
      read()
    })
    socket.pause()
    let timer
    const read = () => {
      clearTimeout(timer)
      const piece = socket.read()
      if (piece === null) return void socket.once("readable", read)
      hash.update(piece)
      bytes += piece.length
      timer = setTimeout(read, slow ? (piece.length / rate) * 1000 : 0)
    }
    socket.on("end", () => socket.end(JSON.stringify({ bytes, sha256: hash.digest("hex") })))
    read()
  },
  async "slow-send"(socket, { rate, bytes, seed }) {
    let offset = 0
    const timer = setInterval(() => {
      const piece = slice(seed, offset, Math.min(rate / 10, bytes - offset))
      offset += piece.length
      socket.write(piece)
    }, 100)
    hurry.add(async () => {
      clearInterval(timer)
      await send(socket, seed, bytes, offset)
      socket.end()
    })
    socket.resume()
  },
  async who(socket) {
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    socket.end(JSON.stringify({ remoteAddress, remotePort, localAddress, localPort }))
    socket.resume()
  },
}

function accept(socket) {
  let head = Buffer.alloc(0)
  socket.on("error", () => {}) // A reset is for the behaviour to report, if it cares.
  const read = (piece) => {
    head = Buffer.concat([head, piece])
    const end = head.indexOf(10)
    if (end < 0) return
    socket.off("data", read)
    socket.off("end", leave)
    socket.pause()
    const request = JSON.parse(head.subarray(0, end).toString())
    const rest = head.subarray(end + 1)
    behaviours[request.do](socket, request, rest).catch(() => socket.destroy())
  }
  // Whoever ends without a word is not waited for.
  const leave = () => socket.destroy()
  socket.on("data", read)
  socket.on("end", leave)
}

const { listen } = JSON.parse(process.argv[2])
await Promise.all(
  listen.map(
    ({ address, port, isDualStack = false }) =>
      new Promise((resolve, reject) => {
        net
          .createServer({ allowHalfOpen: true, noDelay: true }, accept)
          .on("error", reject)
          .listen({ host: address, port, backlog: 4096, ipv6Only: !isDualStack }, resolve)
      }),
  ),
)
say("ready")
