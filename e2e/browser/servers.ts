/** Servers of the test, on this machine's loopback: names, and a file. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { decode, encode } from "dns-packet"

export interface TestServer {
  readonly port: number
  close(): void
}

/** Answers questions for this name with this IPv4 address, and all others with nothing. */
export async function serveNames(name: string, address: string): Promise<TestServer> {
  const socket = createSocket("udp4")
  socket.on("message", (message, { port, address: from }) => {
    const { id, questions = [] } = decode(message)
    const isKnown = questions.some((question) => question.name === name && question.type === "A")
    const answers = isKnown ? [{ type: "A" as const, name, ttl: 60, data: address }] : []
    socket.send(encode({ type: "response", id, questions, answers }), port, from)
  })
  socket.bind(0, "127.0.0.1")
  await once(socket, "listening")
  return { port: socket.address().port, close: () => socket.close() }
}

/** Serves these bytes. */
export async function serveFile(content: Uint8Array): Promise<TestServer> {
  const server = createServer((_, response) => response.end(content))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

/** A port of TCP at which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}
