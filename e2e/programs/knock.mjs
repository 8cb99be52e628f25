// Connects to a port again and again, about a thousand times a second, until its input ends. Prints what became of the
// connections: how many the kernel established, and the others by their error.
import { connect } from "node:net"

const { address, port } = JSON.parse(process.argv[2])
const AT_ONCE = 5
const PAUSE = 5
const outcomes = {}
let isOver = false
let pending = 0

function count(outcome) {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  if (outcomes[outcome] === 100) console.log(`100 ${outcome}`)
}

function knock() {
  pending++
  const socket = connect({ host: address, port })
  let isEstablished = false
  socket.once("connect", () => {
    isEstablished = true
    count("established")
    // Leaves no waiting state behind, and frees the port at once.
    socket.resetAndDestroy()
  })
  // A guest without a server ends what was established.
  socket.on("error", (error) => isEstablished || count(error.code))
  socket.once("close", () => {
    pending--
    if (isOver && pending === 0) console.log(JSON.stringify(outcomes))
  })
}

const timer = setInterval(() => {
  for (let started = 0; started < AT_ONCE; started++) knock()
}, PAUSE)
process.stdin.resume().once("end", () => {
  clearInterval(timer)
  isOver = true
  if (pending === 0) console.log(JSON.stringify(outcomes))
})
