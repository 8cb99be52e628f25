/** What one client can have a relay keep, whatever it does. */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import type { NetConnectOpts, Socket as NodeSocket, Server } from "node:net"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { Client, silentServer, until } from "./client.fixture.ts"
import { CloseReason, CREDIT, MOST_FROM_CLIENT, StreamType, WispType } from "./stream.ts"

const LARGEST = 64 << 10
const LOOPBACK = "127.0.0.1"
/** A name whose lookup ends when the test says so. */
const PENDING = "pending.test"

const { lookups, sockets } = vi.hoisted(() => ({
  /** Each fails one. */
  lookups: [] as (() => void)[],
  /** The relay's. */
  sockets: [] as NodeSocket[],
}))
vi.mock("node:dns/promises", async (importOriginal) => {
  const original = await importOriginal<typeof import("node:dns/promises")>()
  const pending = () =>
    new Promise((_, reject) => {
      lookups.push(() => reject(Object.assign(new Error("No such name"), { code: "ENOTFOUND" })))
    })
  return { ...original, lookup: (host: string) => (host === PENDING ? pending() : original.lookup(host)) }
})
vi.mock("node:net", async (importOriginal) => {
  const original = await importOriginal<typeof import("node:net")>()
  const connect = (options: NetConnectOpts) => {
    const socket = original.connect(options)
    sockets.push(socket)
    return socket
  }
  return { ...original, connect }
})

let server: Server
let port: number
/** Of the server, which reads nothing by itself. */
let connections: NodeSocket[]
let client: Client

beforeEach(async () => {
  lookups.length = 0
  sockets.length = 0
  ;({ server, port, connections } = await silentServer())
  client = new Client()
})

afterEach(() => {
  client.emit("close")
  for (const each of connections) each.destroy()
  server.close()
})

/** Opens a stream, and has the client send by it all that its first credit allows. */
function fill(id: number, host: string, type: number = StreamType.tcp): void {
  client.connect(id, type, host, port)
  for (let count = 0; count < CREDIT; count++) client.packet(WispType.data, id, Buffer.alloc(LARGEST))
}

/** Streams that the client may fill. */
const FULL = Math.floor(MOST_FROM_CLIENT / ((LARGEST + 256) * CREDIT))

test("streams that would have the relay keep more than it keeps for a client are closed, others arrive", async () => {
  for (let id = 1; id <= 16; id++) fill(id, LOOPBACK)
  await until(() => client.closures(16).length > 0 && connections.length === FULL)
  for (let id = 1; id <= 16; id++) expect(client.closures(id)).toEqual(id <= FULL ? [] : [CloseReason.throttled])
  // Nothing of the others is lost.
  let bytes = 0
  for (const each of connections) {
    each.on("data", ({ length }) => {
      bytes += length
    })
    each.resume()
  }
  await until(() => bytes === FULL * CREDIT * LARGEST)
  // What has arrived counts no longer.
  fill(17, LOOPBACK)
  await until(() => client.hasCredit(17))
  expect(client.closures(17)).toEqual([])
})

test("what waits for a connection that is never made counts no longer", async () => {
  for (let id = 1; id <= FULL; id++) fill(id, PENDING)
  fill(FULL + 1, LOOPBACK)
  await until(() => client.closures(FULL + 1).length > 0)
  for (const fail of lookups) fail()
  await until(() => client.closures(FULL).length > 0)
  fill(FULL + 2, LOOPBACK)
  await until(() => client.hasCredit(FULL + 2))
  expect(client.closures(FULL + 2)).toEqual([])
})

test("a client with much under way gets credit for what servers have taken, not for what they will", async () => {
  const send = (id: number) => {
    for (let count = 0; count < CREDIT / 2; count++) client.packet(WispType.data, id, Buffer.alloc(1))
  }
  const hasArrived = (bytes: number) => connections.reduce((sum, each) => sum + each.bytesRead, 0) === bytes
  client.connect(1, StreamType.tcp, LOOPBACK, port)
  await until(() => client.hasCredit(1) && connections.length === 1)
  connections[0].resume()
  Object.defineProperty(sockets[0], "writableLength", { value: 1, configurable: true })
  send(1)
  await until(() => client.credits(1).length === 2)
  for (let id = 2; id <= 6; id++) fill(id, PENDING)
  send(1)
  await until(() => hasArrived(CREDIT))
  await new Promise(setImmediate)
  expect(client.credits(1)).toHaveLength(2)
  Object.defineProperty(sockets[0], "writableLength", { value: 0 })
  client.packet(WispType.data, 1, Buffer.alloc(1))
  await until(() => client.credits(1).length === 3)
})

test("datagrams beyond what the relay keeps for a client are lost, and nothing else", async () => {
  const receiver = createSocket("udp4")
  await new Promise<void>((resolve) => receiver.bind(port, LOOPBACK, resolve))
  const received: string[] = []
  receiver.on("message", (text) => received.push(text.toString()))
  client.connect(1, StreamType.udp, LOOPBACK, port)
  client.packet(WispType.data, 1, Buffer.from("early"))
  await until(() => received.length === 1)
  for (let id = 2; id < FULL + 2; id++) fill(id, PENDING)
  fill(FULL + 2, PENDING, StreamType.udp)
  client.packet(WispType.data, 1, Buffer.from("lost"))
  client.packet(WispType.close, 2, Buffer.of(CloseReason.networkError))
  client.packet(WispType.data, 1, Buffer.from("late"))
  await until(() => received.length === 2)
  expect(received).toEqual(["early", "late"])
  receiver.close()
})

test("servers wait for a client that doesn't read, however many send", async () => {
  const [streams, each] = [64, 1 << 20]
  for (let id = 1; id <= streams; id++) client.connect(id, StreamType.tcp, LOOPBACK, port)
  await until(() => connections.length === streams && client.hasCredit(streams))
  const receivedBytes = () => client.received.reduce((sum, { payload }) => sum + payload.length, 0)
  client.reads = false
  for (const connection of connections) connection.write(Buffer.alloc(each))
  await until(() => receivedBytes() >= 3 << 20)
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
  expect(receivedBytes()).toBeLessThan(5 << 20)
  expect(client.isTerminated).toBe(false)
  client.readAll()
  await until(() => receivedBytes() >= streams * each)
})

test("a client that asks and doesn't read is ended", async () => {
  client.reads = false
  let packets = 0
  for (; packets < 100_000 && !client.isTerminated; packets++) client.connect(0, StreamType.tcp, LOOPBACK, port)
  expect(client.isTerminated).toBe(true)
  expect(packets).toBeGreaterThan(10_000)
})

test("a packet that waits doesn't keep the buffer that it arrived in", async () => {
  client.connect(1, StreamType.tcp, LOOPBACK, port)
  const message = Buffer.alloc(1 << 10)
  message[0] = WispType.data
  message.writeUInt32LE(1, 1)
  message.write("question", 5)
  client.emit("message", message.subarray(0, 5 + 8), true)
  message.fill(0)
  await until(() => connections.length === 1)
  const [question] = await once(connections[0].resume(), "data")
  expect(question.toString()).toBe("question")
})

test("a name longer than names can be is refused at once", () => {
  client.connect(1, StreamType.tcp, "a".repeat(256), port)
  expect(client.closures(1)).toEqual([CloseReason.invalid])
})
