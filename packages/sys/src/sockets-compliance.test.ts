import { createSocket } from "node:dgram"
import { once } from "node:events"
import { connect, createServer, type Socket as NodeSocket } from "node:net"
import { setTimeout } from "node:timers/promises"
import { Address } from "@demiflow/core"
import {
  type CorrespondentClient,
  type CorrespondentConnection,
  type CorrespondentListener,
  type CorrespondentUdp,
  type End,
  type SocketsUnderTest,
  socketsCompliance,
} from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { LinuxSockets } from "./linux-sockets.ts"
import { arena, Events, loopback, native, unusedPort } from "./test-support.ts"

/** The suite that every host passes, run on the kernel: correspondents are Node's own sockets on loopback. */

const events = new Events()

class Connection implements CorrespondentConnection {
  isEnded = false
  isReset = false
  readonly #socket: NodeSocket
  readonly #pieces: Buffer[] = []

  constructor(socket: NodeSocket) {
    this.#socket = socket
    socket.on("data", (piece: Buffer) => this.#pieces.push(piece))
    socket.on("end", () => {
      this.isEnded = true
    })
    socket.on("error", () => {
      this.isReset = true
    })
  }

  get received(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#pieces))
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  end(): void {
    this.#socket.end()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

/** Connects to the host. */
class Client extends Connection implements CorrespondentClient {
  isConnected = false
  isRefused = false
  ownEnd: End = { address: new Address(), port: 0 }

  constructor(end: End) {
    const socket = connect({ host: end.address.toString(), port: end.port, allowHalfOpen: true })
    super(socket)
    clients.push(this)
    socket.on("connect", () => {
      this.ownEnd = { address: Address.parse(socket.localAddress ?? ""), port: socket.localPort ?? 0 }
      this.isConnected = true
    })
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.isRefused = error.code === "ECONNREFUSED"
    })
  }
}

const clients: Connection[] = []

async function listen(isV4: boolean): Promise<CorrespondentListener> {
  const connections: Connection[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => connections.push(new Connection(socket)))
  server.listen(0, loopback(isV4).toString())
  await once(server, "listening")
  const bound = server.address()
  if (bound === null || typeof bound === "string") throw new Error("A server without a port")
  return {
    address: loopback(isV4),
    port: bound.port,
    connections,
    close() {
      for (const connection of connections) connection.destroy()
      server.close()
    },
  }
}

async function openUdp(isV4: boolean): Promise<CorrespondentUdp> {
  const socket = createSocket(isV4 ? "udp4" : "udp6")
  const received: Uint8Array[] = []
  const senders: End[] = []
  socket.on("message", (bytes, { address, port }) => {
    received.push(new Uint8Array(bytes))
    senders.push({ address: Address.parse(address), port })
  })
  socket.bind(0, loopback(isV4).toString())
  await once(socket, "listening")
  return {
    address: loopback(isV4),
    port: socket.address().port,
    received,
    senders,
    send: (bytes, address, port) => socket.send(bytes, port, address.toString()),
    close: () => socket.close(),
  }
}

function setup(usePeekOffset: boolean): SocketsUnderTest {
  return {
    sockets: new LinuxSockets(native, arena, events.loop, { usePeekOffset }),
    async turn(deliver, deliverToListener) {
      await setTimeout(1)
      events.loop.round(0)
      for (const [side, bits] of events.seen) deliver(side, bits)
      events.seen.clear()
      for (const [listener, bits] of events.seenByListeners) deliverToListener(listener, bits)
      events.seenByListeners.clear()
    },
    listen,
    openUdp,
    unusedEnd: (isV4) => ({ address: loopback(isV4), port: unusedPort() }),
    ownEnd: (isV4) => ({ address: loopback(isV4), port: unusedPort() }),
    connect: (end) => new Client(end),
    close() {
      for (const client of clients) client.destroy()
    },
  }
}

// Ping sockets are forbidden on many machines.
const capabilities = { ping: false }

describe("the kernel's sockets", () => socketsCompliance(() => setup(true), { capabilities }))
describe("the kernel's sockets without a peek offset", () => socketsCompliance(() => setup(false), { capabilities }))
