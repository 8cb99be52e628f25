// A TCP client for one scenario, named by the request's "scenario" (see the functions below). Prints
// its result as one JSON line; errors of a connection are results, by their code.
// Request: {"scenario", "address", "port", ...}
import { createHash } from "node:crypto"
import net from "node:net"
import { hashOf, send } from "./pattern.mjs"

const request = JSON.parse(process.argv[2])
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

/** Connects and says to the server what to do. */
function open(what, options = {}) {
  return new Promise((resolve, reject) => {
    const { address: host, port, from: localAddress } = request
    const socket = net.connect({ host, port, localAddress, allowHalfOpen: true, noDelay: true, ...options })
    socket.once("error", reject)
    socket.once("connect", () => {
      socket.off("error", reject)
      socket.on("error", () => {})
      if (what !== undefined) socket.write(`${JSON.stringify(what)}\n`)
      resolve(socket)
    })
  })
}

/** Reads to the FIN. */
function read(socket) {
  return new Promise((resolve, reject) => {
    // A connection that was reset at once has said so already, while the request was being written.
    if (socket.errored) return reject(Object.assign(socket.errored, { bytes: 0 }))
    const hash = createHash("sha256")
    let bytes = 0
    const pieces = []
    socket.on("data", (piece) => {
      hash.update(piece)
      bytes += piece.length
      if (bytes < 4096) pieces.push(piece)
    })
    socket.on("end", () =>
      resolve({ bytes, sha256: hash.digest("hex"), text: Buffer.concat(pieces).toString("latin1") }),
    )
    socket.on("error", (error) => reject(Object.assign(error, { bytes })))
  })
}

/** Reads a part that is known to come, and leaves the connection open. */
function readSome(socket, bytes) {
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0)
    const take = (piece) => {
      got = Buffer.concat([got, piece])
      if (got.length < bytes) return
      socket.off("data", take)
      resolve(got)
    }
    socket.on("data", take)
    socket.once("error", reject)
    socket.once("end", () => reject(new Error("ended early")))
  })
}

const closed = (socket) => new Promise((resolve) => (socket.closed ? resolve() : socket.once("close", resolve)))

async function download({ bytes, seed }) {
  const socket = await open({ do: "send", bytes, seed })
  const got = await read(socket)
  socket.end()
  return { bytes: got.bytes, intact: got.sha256 === hashOf(seed, bytes) }
}

async function upload({ bytes, seed }) {
  const socket = await open({ do: "receive" })
  const answer = read(socket)
  await send(socket, seed, bytes)
  socket.end()
  const got = JSON.parse((await answer).text)
  return { bytes: got.bytes, intact: got.sha256 === hashOf(seed, bytes) }
}

/** Both directions of one connection at the same time. */
async function echo({ bytes, seed }) {
  const socket = await open({ do: "echo" })
  const answer = read(socket)
  await send(socket, seed, bytes)
  socket.end()
  const got = await answer
  return { bytes: got.bytes, intact: got.sha256 === hashOf(seed, bytes) }
}

/** All connections are there before any of them carries data. */
async function many({ connections, bytes, seed }) {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open()))
  if (request.pause) {
    say({ connected: sockets.length })
    await new Promise((resolve) => process.stdin.once("data", resolve))
    process.stdin.pause()
  }
  const expected = hashOf(seed, bytes)
  const results = await Promise.all(
    sockets.map(async (socket) => {
      const answer = read(socket)
      socket.write('{"do":"echo"}\n')
      await send(socket, seed, bytes)
      socket.end()
      return (await answer).sha256 === expected
    }),
  )
  return { connected: sockets.length, intact: results.filter(Boolean).length }
}

/** Small requests over one connection, each after the answer to the one before. */
async function requests({ count }) {
  const socket = await open({ do: "echo" })
  let answered = 0
  for (let number = 0; number < count; number++) {
    const question = `request ${number}`
    const answer = readSome(socket, question.length)
    socket.write(question)
    if ((await answer).toString() === question) answered++
  }
  socket.end()
  return { answered }
}

/** Many connections after one another, some at a time. */
async function short({ connections, atOnce }) {
  let started = 0
  let intact = 0
  const errors = {}
  const worker = async () => {
    while (started < connections) {
      const seed = started++
      try {
        const socket = await open({ do: "send", bytes: 100, seed })
        const got = await read(socket)
        socket.end()
        if (got.sha256 === hashOf(seed, 100)) intact++
      } catch (error) {
        errors[error.code ?? error.message] = (errors[error.code ?? error.message] ?? 0) + 1
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return { intact, errors }
}

/** The client's FIN first; the server's data afterwards. */
async function endFirst({ bytes, seed }) {
  const socket = await open({ do: "answer-after-end", bytes, seed })
  socket.end("the last words of the client")
  const got = await read(socket)
  return { bytes: got.bytes, intact: got.sha256 === hashOf(seed, bytes) }
}

/** The server's FIN first; the client's data afterwards. */
async function endLast({ bytes, seed }) {
  const socket = await open({ do: "end-first", name: "end-first" })
  const { text } = await read(socket)
  await send(socket, seed, bytes)
  socket.end()
  await closed(socket)
  return { text, sha256: hashOf(seed, bytes) }
}

/** The server resets. */
async function resetByServer({ after }) {
  const socket = await open({ do: "reset", after })
  const ended = read(socket)
  send(socket, 1, after + 1).catch(() => {})
  return ended.then(
    () => ({ how: "FIN" }),
    (error) => ({ how: error.code }),
  )
}

/** The client resets. */
async function resetByClient() {
  const socket = await open({ do: "report", name: "reset" })
  await readSome(socket, 4)
  socket.resetAndDestroy()
  await closed(socket)
  return {}
}

/** One attempt to connect: how it ended, or "late". */
async function attempt({ timeout = 60_000 }) {
  const late = new Promise((resolve) => setTimeout(() => resolve("late"), timeout).unref())
  const outcome = open().then(
    (socket) => {
      socket.destroy()
      return "connected"
    },
    (error) => error.code,
  )
  return { outcome: await Promise.race([outcome, late]) }
}

/** Connections that stay as they are until standard input ends. */
async function hold({ connections, name }) {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open({ do: "hold", name })))
  await Promise.all(sockets.map((socket) => readSome(socket, 4)))
  say({ held: sockets.length })
  const endings = Promise.all(
    sockets.map((socket) => {
      socket.resume()
      return new Promise((resolve) => {
        socket.once("end", () => resolve("FIN"))
        socket.once("error", (error) => resolve(error.code))
      })
    }),
  )
  const input = new Promise((resolve) => process.stdin.once("end", () => resolve("input")))
  process.stdin.resume()
  const outcome = await Promise.race([endings, input])
  if (outcome === "input") for (const socket of sockets) socket.destroy()
  process.stdin.destroy()
  return { endings: outcome }
}

/**
 * Reads at most 1 kB at a time, `rate` bytes a second, until a line comes on standard input; then
 * the rest as fast as it comes.
 */
async function slowDownload({ bytes, seed, rate, name }) {
  const hash = createHash("sha256")
  let got = 0
  let slow = true
  let resume
  let timer
  const socket = await new Promise((resolve, reject) => {
    const socket = net.connect({
      host: request.address,
      port: request.port,
      onread: {
        buffer: Buffer.alloc(1000),
        callback(length, buffer) {
          hash.update(buffer.subarray(0, length))
          got += length
          if (!slow) return true
          timer = setTimeout(() => resume(), (length / rate) * 1000)
          return false
        },
      },
    })
    socket.once("error", reject)
    socket.once("connect", () => resolve(socket))
  })
  resume = () => {
    socket.resume()
    socket.read(0)
  }
  process.stdin.once("data", () => {
    slow = false
    clearTimeout(timer)
    say({ slowBytes: got })
    resume()
  })
  socket.write(`${JSON.stringify({ do: "send", bytes, seed, name })}\n`)
  say({ started: true })
  await new Promise((resolve, reject) => {
    socket.once("end", resolve)
    socket.once("error", reject)
  })
  process.stdin.destroy()
  return { bytes: got, intact: hash.digest("hex") === hashOf(seed, bytes) }
}

/** Writes to a server that reads slowly. */
async function slowUpload({ bytes, seed, rate }) {
  const socket = await open({ do: "slow-read", rate })
  const answer = read(socket)
  say({ started: true })
  await send(socket, seed, bytes)
  say({ sent: true })
  socket.end()
  const got = JSON.parse((await answer).text)
  return { bytes: got.bytes, intact: got.sha256 === hashOf(seed, bytes) }
}

/** A server that writes slowly. */
async function slowServer({ bytes, seed, rate }) {
  const socket = await open({ do: "slow-send", rate, bytes, seed })
  say({ started: true })
  const got = await read(socket)
  socket.end()
  return { bytes: got.bytes, intact: got.sha256 === hashOf(seed, bytes) }
}

/** Connects, says nothing, and reads until the connection ends; that may be before it is reported as connected. */
async function readOnly() {
  return open()
    .then(read)
    .then(
      ({ bytes }) => ({ bytes, how: "FIN" }),
      ({ bytes = 0, code }) => ({ bytes, how: code }),
    )
}

/** Transfers until the server goes away; how that looks from here. */
async function untilDeath({ direction }) {
  const endless = 1e12
  const socket = await open(direction === "down" ? { do: "send", bytes: endless, seed: 1 } : { do: "receive" })
  const ended = read(socket).then(
    (got) => ({ how: "FIN", bytes: got.bytes }),
    (error) => ({ how: error.code, bytes: error.bytes }),
  )
  if (direction === "down") await new Promise((resolve) => socket.once("data", resolve))
  else send(socket, 1, endless).catch(() => {})
  say({ started: true })
  const outcome = await ended
  socket.destroy()
  return outcome
}

/** Who the server thinks we are; from several addresses of our own at once, if named. */
async function who({ from = [undefined] }) {
  const sockets = await Promise.all(from.map((localAddress) => open({ do: "who" }, { localAddress })))
  const answers = await Promise.all(sockets.map(async (socket) => JSON.parse((await read(socket)).text)))
  for (const socket of sockets) socket.end()
  return { answers }
}

/** Whom and at which port the server sees us, or the error that comes back. */
async function arrival({ from }) {
  try {
    const socket = await open({ do: "who" }, { localAddress: from })
    const { remoteAddress, localPort } = JSON.parse((await read(socket)).text)
    return { from: remoteAddress, port: localPort }
  } catch (error) {
    return { error: error.code }
  }
}

/** An echo from each of several addresses of our own, all at once. */
async function fromAddresses({ from, bytes }) {
  const sockets = await Promise.all(from.map((localAddress) => open({ do: "echo" }, { localAddress })))
  const intact = await Promise.all(
    sockets.map(async (socket, seed) => {
      const answer = read(socket)
      await send(socket, seed, bytes)
      socket.end()
      return (await answer).sha256 === hashOf(seed, bytes)
    }),
  )
  return { intact: intact.filter(Boolean).length }
}

const scenarios = {
  download,
  upload,
  echo,
  many,
  requests,
  short,
  "end-first": endFirst,
  "end-last": endLast,
  "reset-by-server": resetByServer,
  "reset-by-client": resetByClient,
  attempt,
  hold,
  "slow-download": slowDownload,
  "slow-upload": slowUpload,
  "slow-server": slowServer,
  read: readOnly,
  "until-death": untilDeath,
  who,
  arrival,
  "from-addresses": fromAddresses,
}

say(await scenarios[request.scenario](request))
process.exit(0)
