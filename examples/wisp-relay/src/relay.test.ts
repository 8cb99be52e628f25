/** What clients do that mean harm, or that are in a hurry. */
import { EventEmitter, once } from "node:events"
import type { AddressInfo, Socket as NodeSocket, Server } from "node:net"
import { createServer } from "node:net"
import { afterEach, beforeEach, expect, test } from "vitest"
import { relay } from "./relay.ts"
import { CloseReason, StreamType, WispType } from "./stream.ts"
import type { WebSocketOfWs } from "./ws.ts"

/** A client without a network: what it sends arrives at once. */
class Client extends EventEmitter {
  readonly bufferedAmount = 0
  readonly received: { readonly type: number; readonly id: number; readonly payload: Buffer }[] = []

  constructor() {
    super()
    relay(this as unknown as WebSocketOfWs, () => true)
  }

  /** The relay's. */
  send(packet: Buffer, sent?: () => void): void {
    this.received.push({ type: packet[0], id: packet.readUInt32LE(1), payload: packet.subarray(5) })
    if (sent !== undefined) setImmediate(sent)
  }

  packet(type: number, id: number, payload: Uint8Array): void {
    const packet = Buffer.alloc(5 + payload.length)
    packet[0] = type
    packet.writeUInt32LE(id, 1)
    packet.set(payload, 5)
    this.emit("message", packet, true)
  }

  connect(id: number, type: number, host: string, port: number): void {
    this.packet(WispType.connect, id, Buffer.from([type, port & 255, port >> 8, ...Buffer.from(host)]))
  }

  closures(id: number): number[] {
    return this.received
      .filter((each) => each.type === WispType.close && each.id === id)
      .map(({ payload }) => payload[0])
  }

  hasCredit(id: number): boolean {
    return this.received.some((each) => each.type === WispType.continue && each.id === id)
  }
}

let server: Server
let port: number
/** Of the server, which reads nothing. */
let connections: NodeSocket[]
let client: Client

beforeEach(async () => {
  connections = []
  server = createServer({ pauseOnConnect: true }, (socket) => connections.push(socket.on("error", () => {})))
  await once(server.listen(0, "127.0.0.1"), "listening")
  port = (server.address() as AddressInfo).port
  client = new Client()
})

afterEach(() => {
  client.emit("close")
  for (const each of connections) each.destroy()
  server.close()
})

function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (condition()) resolve()
      else setTimeout(check, 1)
    }
    check()
  })
}

test("a datagram to where none may go closes its stream, and nothing else", async () => {
  client.connect(1, StreamType.udp, "255.255.255.255", 53)
  client.packet(WispType.data, 1, Buffer.from("hello"))
  await until(() => client.closures(1).length > 0)
  expect(client.closures(1)).toEqual([CloseReason.networkError])
  // The number is free again.
  client.connect(1, StreamType.tcp, "127.0.0.1", port)
  await until(() => connections.length === 1)
})
