/** What clients do that mean harm, or that are in a hurry. */
import { once } from "node:events"
import type { Socket as NodeSocket, Server } from "node:net"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { Client, silentServer, until } from "./client.fixture.ts"
import { CloseReason, CREDIT, StreamType, WispType } from "./stream.ts"

let server: Server
let port: number
/** Of the server, which reads nothing. */
let connections: NodeSocket[]
let client: Client

beforeEach(async () => {
  ;({ server, port, connections } = await silentServer())
  client = new Client()
})

afterEach(() => {
  client.emit("close")
  for (const each of connections) each.destroy()
  server.close()
})

test("a datagram to where none may go closes its stream, and nothing else", async () => {
  client.connect(1, StreamType.udp, "255.255.255.255", 53)
  client.packet(WispType.data, 1, Buffer.from("hello"))
  await until(() => client.closures(1).length > 0)
  expect(client.closures(1)).toEqual([CloseReason.networkError])
  // The number is free again.
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  await until(() => connections.length === 1)
})

/** An orderly end or a reset: `once()` would reject for the latter. */
function closed(server: NodeSocket): Promise<void> {
  return new Promise((resolve) => server.once("close", () => resolve()))
}

/** More than the kernel takes. */
const FILLING = 24 << 20

/** Opens stream 1, and has the client send much by it, within its credit. */
async function fillStream(): Promise<NodeSocket> {
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  await until(() => connections.length === 1 && client.hasCredit(1))
  for (let bytes = 0; bytes < FILLING; bytes += 1 << 20) client.packet(WispType.data, 1, Buffer.alloc(1 << 20))
  return connections[0]
}

const closeInOrder = () => client.packet(WispType.close, 1, Buffer.of(CloseReason.voluntary))

/** An answer by stream 1 to what it carried; earlier events of all sockets precede it. */
async function exchange(server: NodeSocket): Promise<void> {
  client.packet(WispType.data, 1, Buffer.from("question"))
  await once(server.resume(), "data")
  server.write("answer")
  await until(() => client.received.some(({ payload }) => payload.toString() === "answer"))
}

test.each([
  ["resets", (socket: NodeSocket) => socket.resetAndDestroy()],
  ["ends", (socket: NodeSocket) => socket.end()],
])("a closed stream that the server %s says nothing for a newer one of its number", async (_, finish) => {
  client.packet(WispType.continue, 0, Buffer.of(CREDIT, 0, 0, 0))
  const old = await fillStream()
  closeInOrder()
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  await until(() => connections.length === 2)
  finish(old)
  await exchange(connections[1])
  expect(client.closures(1)).toEqual([])
  expect(client.received.filter(({ type, payload }) => type === WispType.data && payload.length === 0)).toEqual([])
  // The newer one still ends with the WebSocket.
  client.emit("close")
  const [error] = await once(connections[1], "error")
  expect(error.code).toBe("ECONNRESET")
})

test("what a client sends beyond its credit before the connection is made closes the stream", async () => {
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  for (let count = 0; count <= CREDIT; count++) client.packet(WispType.data, 1, Buffer.alloc(1))
  await until(() => client.closures(1).length > 0)
  expect(client.closures(1)).toEqual([CloseReason.networkError])
})

test("what a client sends beyond its credit to a server that takes nothing resets the stream", async () => {
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  for (let count = 0; count < CREDIT; count++) client.packet(WispType.data, 1, Buffer.alloc(64 << 10))
  await until(() => connections.length === 1 && client.hasCredit(1))
  // All of its credit, and no more.
  for (let count = 0; count < CREDIT; count++) client.packet(WispType.data, 1, Buffer.alloc(64 << 10))
  expect(connections[0].destroyed).toBe(false)
  expect(client.closures(1)).toEqual([])
  client.packet(WispType.data, 1, Buffer.alloc(1))
  await until(() => client.closures(1).length > 0)
  expect(client.closures(1)).toEqual([CloseReason.networkError])
})

test("credit doesn't add up: a client gets as much as it has used", async () => {
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  await until(() => connections.length === 1 && client.hasCredit(1))
  for (let count = 0; count < CREDIT / 2; count++) client.packet(WispType.data, 1, Buffer.alloc(1))
  await until(() => client.credits(1).length > 1)
  expect(client.credits(1)).toEqual([CREDIT, CREDIT / 2])
})

test.each([
  ["TCP", StreamType.tcp],
  ["UDP", StreamType.udp],
])("streams of %s that a client has closed count until they have ended", async (_, type) => {
  for (let id = 1; id <= 1_024; id++) {
    client.connect(id, type, "127.0.0.1", port)
    client.packet(WispType.close, id, Buffer.of(CloseReason.voluntary))
  }
  client.connect(1_025, type, "127.0.0.1", port)
  expect(client.closures(1_025)).toEqual([0x49])
  if (type === StreamType.tcp) await until(() => connections.length === 1_024)
  // Then there is room again.
  await until(() => {
    client.connect(1_026, type, "127.0.0.1", port)
    return client.closures(1_026).at(-1) !== 0x49
  })
})

test("a stream that the client has closed ends with the WebSocket", async () => {
  const server = await fillStream()
  closeInOrder()
  client.emit("close")
  await closed(server.resume())
  expect(server.bytesRead).toBeLessThan(FILLING)
})

test("no connection is made for a client that has gone", async () => {
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  client.packet(WispType.data, 1, Buffer.from("of the first"))
  closeInOrder()
  client.emit("close")
  client = new Client()
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  await until(() => client.hasCredit(1))
  await exchange(connections[0])
  expect(connections.length).toBe(1)
})

test("a server that takes nothing doesn't keep a closed stream", async () => {
  const server = await fillStream()
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
  closeInOrder()
  vi.advanceTimersByTime(120_000)
  vi.useRealTimers()
  await closed(server.resume())
  expect(server.bytesRead).toBeLessThan(FILLING)
})
