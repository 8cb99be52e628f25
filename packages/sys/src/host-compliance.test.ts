import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer, type Socket as NodeSocket } from "node:net"
import { setTimeout } from "node:timers/promises"
import {
  type CorrespondentConnection,
  type CorrespondentListener,
  type CorrespondentUdp,
  type HostUnderTest,
  hostCompliance,
} from "@demiflow/testkit/compliance"
import { describe } from "vitest"
import { LinuxHost } from "./linux-host.ts"
import { arena, Events, loopback, native, unusedPort } from "./test-support.ts"

/** The suite that every host passes, on the kernel: correspondents are Node's own sockets on loopback. */

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
  socket.on("message", (bytes) => received.push(new Uint8Array(bytes)))
  socket.bind(0, loopback(isV4).toString())
  await once(socket, "listening")
  return {
    address: loopback(isV4),
    port: socket.address().port,
    received,
    send: (bytes, address, port) => socket.send(bytes, port, address.toString()),
    close: () => socket.close(),
  }
}

function setup(usePeekOffset: boolean): HostUnderTest {
  return {
    host: new LinuxHost(native, arena, events.loop, { usePeekOffset }),
    async turn(deliver) {
      await setTimeout(1)
      events.loop.round(0)
      for (const [side, bits] of events.seen) deliver(side, bits)
      events.seen.clear()
    },
    listen,
    openUdp,
    unusedEnd: (isV4) => ({ address: loopback(isV4), port: unusedPort(isV4, 1) }),
  }
}

describe("the kernel's sockets", () => hostCompliance(() => setup(true), { hasPing: false }))
describe("the kernel's sockets without a peek offset", () => hostCompliance(() => setup(false), { hasPing: false }))
