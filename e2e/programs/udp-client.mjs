// A UDP client for one scenario, named by the request's "scenario". Prints its result as a JSON line.
// Request: {"scenario", "address", "port", ...}
import dgram from "node:dgram"
import { slice } from "./pattern.mjs"

const request = JSON.parse(process.argv[2])
const type = request.address.includes(":") ? "udp6" : "udp4"
const RETRY = 1000 // Milliseconds until a datagram counts as lost.

function open(from) {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket({ type, recvBufferSize: 4_000_000, sendBufferSize: 4_000_000 })
    socket.once("error", reject)
    socket.bind(0, from, () => socket.off("error", reject) && resolve(socket))
  })
}

const send = (socket, bytes) => socket.send(bytes, request.port, request.address)

/** The next datagram that `accept` likes, or undefined after a while. */
function receive(socket, accept, wait = RETRY) {
  return new Promise((resolve) => {
    const done = (message) => {
      clearTimeout(timer)
      socket.off("message", take)
      resolve(message)
    }
    const take = (message, from) => accept(message, from) && done(message)
    const timer = setTimeout(done, wait)
    socket.on("message", take)
  })
}

/** Asks until there is an answer; UDP may lose. */
async function ask(socket, bytes, accept, attempts) {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const answer = receive(socket, accept)
    send(socket, bytes)
    const got = await answer
    if (got !== undefined) return got
  }
  return undefined
}

/** Datagrams of these sizes come back as they went, all from one socket. */
async function sizes({ sizes, attempts = 3 }) {
  const socket = await open()
  const intact = []
  for (const size of sizes) {
    const bytes = Buffer.from(slice(size, 0, size))
    if ((await ask(socket, bytes, (message) => message.equals(bytes), attempts)) !== undefined) intact.push(size)
  }
  return { intact }
}

/** Datagrams of these sizes on request: only the answer is large. */
async function answers({ sizes }) {
  const socket = await open()
  const intact = []
  for (const bytes of sizes) {
    const expected = slice(5, 0, bytes)
    const question = JSON.stringify({ do: "size", bytes, seed: 5 })
    if ((await ask(socket, question, (message) => message.equals(expected), 3)) !== undefined) intact.push(bytes)
  }
  return { intact }
}

/** Everything that arrives up to the answer of the one that was asked. */
async function strangers() {
  const socket = await open()
  const got = []
  await ask(
    socket,
    '{"do":"intrude"}',
    (message) => {
      got.push(message.toString())
      return message.toString() === "from the one that was asked"
    },
    1,
  )
  return { got }
}

/** A connected socket, and the error that comes back. */
async function error() {
  const socket = await open()
  await new Promise((resolve) => socket.connect(request.port, request.address, resolve))
  const code = new Promise((resolve) => {
    socket.on("error", (failure) => resolve(failure.code))
    setTimeout(() => resolve("none"), 5000).unref()
  })
  socket.send("anybody?", (failure) => failure && socket.emit("error", failure))
  return { code: await code }
}

/** One exchange from each of several addresses of our own, all at once. */
async function fromAddresses({ from }) {
  const sockets = await Promise.all(from.map(open))
  const answered = await Promise.all(
    sockets.map((socket, i) =>
      ask(socket, `from ${from[i]}`, (message) => message.toString() === `from ${from[i]}`, 3),
    ),
  )
  return { answered: answered.filter((answer) => answer !== undefined).length }
}

/** Datagrams sent one right after the other from one socket; how many come back, and whether in that order. */
async function burst({ count, size }) {
  const socket = await open()
  const got = []
  const all = receive(socket, (message) => got.push(message.readUInt32BE(0)) === count, 5 * RETRY)
  for (let number = 0; number < count; number++) {
    const bytes = Buffer.alloc(size)
    bytes.writeUInt32BE(number)
    send(socket, bytes)
  }
  await all
  return { answered: new Set(got).size, inOrder: got.every((number, i) => i === 0 || number > got[i - 1]) }
}

/** Many sockets, one exchange each, all open at the same time. */
async function many({ sockets: count }) {
  const sockets = await Promise.all(Array.from({ length: count }, () => open()))
  const answered = await Promise.all(
    sockets.map((socket, i) => ask(socket, `socket ${i}`, (message) => message.toString() === `socket ${i}`, 5)),
  )
  return { answered: answered.filter((answer) => answer !== undefined).length }
}

async function who({ from }) {
  const answer = await ask(await open(from), '{"do":"who"}', () => true, 3)
  return answer === undefined ? {} : JSON.parse(answer.toString())
}

/** Whom and at which port the server sees us, or the error that comes back. */
async function arrival({ from }) {
  const socket = await open(from)
  await new Promise((resolve) => socket.connect(request.port, request.address, resolve))
  const refused = new Promise((resolve) => socket.on("error", ({ code }) => resolve({ error: code })))
  const answered = async () => {
    for (let attempt = 0; attempt < 3; attempt++) {
      const answer = receive(socket, () => true)
      socket.send('{"do":"who"}', () => {}) // An error comes back by event as well.
      const got = await answer
      if (got !== undefined) return JSON.parse(got.toString())
    }
    return { error: "no answer" }
  }
  const { error, address, localPort } = await Promise.race([refused, answered()])
  return error === undefined ? { from: address, port: localPort } : { error }
}

const scenarios = { sizes, answers, strangers, error, "from-addresses": fromAddresses, burst, many, who, arrival }
process.stdout.write(`${JSON.stringify(await scenarios[request.scenario](request))}\n`)
process.exit(0)
