// Opens as many connections as the network allows, and holds them until standard input
// ends. Request: {"to": [{"address", "port"}], "connections", "first", "drip"}; the places take turns.
//
//   "first"  what each connection sends at once
//   "drip"   milliseconds between the single bytes that each connection sends from then on
//
// Prints {"open", "failed": {code: count}} when no more connections open. Received data is never read, and no end
// is answered.
import net from "node:net"

const { to, connections, first, drip } = JSON.parse(process.argv[2])
const AT_ONCE = 100

const sockets = []
const failed = {}
let started = 0

function attempt({ address: host, port }) {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, allowHalfOpen: true, noDelay: true }, () => {
      sockets.push(socket)
      if (first !== undefined) socket.write(first)
      if (drip !== undefined) setInterval(() => socket.write(" "), drip)
      resolve()
    })
    socket.pause()
    socket.on("error", ({ code }) => {
      failed[code] = (failed[code] ?? 0) + 1
      resolve()
    })
  })
}

async function worker() {
  while (started < connections) await attempt(to[started++ % to.length])
}

const settled = () => sockets.length + Object.values(failed).reduce((sum, count) => sum + count, 0)

/**
 * Where the network drops packets that it can't carry, attempts stay open: a second without an event also counts as the
 * end.
 */
const quiet = new Promise((resolve) => {
  let before = 0
  const timer = setInterval(() => {
    if (settled() === before && before > 0) {
      clearInterval(timer)
      resolve()
    }
    before = settled()
  }, 1000)
})

await Promise.race([Promise.all(Array.from({ length: AT_ONCE }, worker)), quiet])
process.stdout.write(`${JSON.stringify({ open: sockets.length, failed })}\n`)
process.stdin.resume().on("end", () => process.exit(0))
