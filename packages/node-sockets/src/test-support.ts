/** Shared by this package's tests: correspondents by ordinary sockets of Node.js on loopback. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { connect, createServer, type Socket as NodeSocket } from "node:net"
import { Address, LOOPBACK_V4, LOOPBACK_V6 } from "@demiflow/core"
import { staticPorts } from "@demiflow/testkit"
import type {
  CorrespondentClient,
  CorrespondentConnection,
  CorrespondentListener,
  CorrespondentUdp,
  End,
} from "@demiflow/testkit/compliance"

export function loopback(isV4: boolean): Address {
  return (isV4 ? LOOPBACK_V4 : LOOPBACK_V6).clone()
}

export class Connection implements CorrespondentConnection {
  isEnded = false
  isReset = false
  readonly socket: NodeSocket
  readonly #pieces: Buffer[] = []

  constructor(socket: NodeSocket) {
    this.socket = socket
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
    this.socket.write(bytes)
  }

  end(): void {
    this.socket.end()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }
}

/** Connects to the host. */
export class Client extends Connection implements CorrespondentClient {
  isConnected = false
  isRefused = false
  ownEnd: End = { address: new Address(), port: 0 }

  constructor(end: End) {
    const socket = connect({ host: end.address.toString(), port: end.port, allowHalfOpen: true })
    super(socket)
    socket.on("connect", () => {
      this.ownEnd = { address: Address.parse(socket.localAddress ?? ""), port: socket.localPort ?? 0 }
      this.isConnected = true
    })
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.isRefused = error.code === "ECONNREFUSED"
    })
  }
}

export async function listen(isV4: boolean): Promise<CorrespondentListener> {
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
      for (const connection of connections) connection.socket.destroy()
      server.close()
    },
  }
}

export async function openUdp(isV4: boolean): Promise<CorrespondentUdp> {
  const socket = createSocket(isV4 ? "udp4" : "udp6")
  const received: Uint8Array[] = []
  const senders: End[] = []
  socket.on("message", (bytes, { address, port }) => {
    received.push(new Uint8Array(bytes))
    senders.push({ address: Address.parse(address), port })
  })
  socket.bind(0, loopback(isV4).toString())
  await once(socket, "listening")
  let isOpen = true
  return {
    address: loopback(isV4),
    port: socket.address().port,
    received,
    senders,
    send: (bytes, address, port) => socket.send(bytes, port, address.toString()),
    close() {
      if (isOpen) socket.close()
      isOpen = false
    },
  }
}

const ports = staticPorts()

/** Ports that nothing uses, for either protocol and version of IP. */
export async function freePorts(count: number): Promise<number[]> {
  const held: { readonly port: number; readonly release: () => void }[] = []
  while (held.length < count) {
    const port = ports.next().value
    const server = createServer()
    const socket = createSocket("udp6")
    const bindings = await Promise.all([
      new Promise<boolean>((resolve) => {
        server.once("error", () => resolve(false)).listen(port, () => resolve(true))
      }),
      new Promise<boolean>((resolve) => {
        socket.once("error", () => resolve(false)).bind(port, () => resolve(true))
      }),
    ])
    const release = () => {
      server.close()
      socket.close()
    }
    if (bindings.every((isFree) => isFree)) held.push({ port, release })
    else release()
  }
  for (const { release } of held) release()
  return held.map(({ port }) => port)
}
