import { EventEmitter, once } from "node:events"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import { relay } from "./relay.ts"
import { WispType } from "./stream.ts"
import type { WebSocketOfWs } from "./ws.ts"

/** A client without a network: what it sends arrives at once. */
export class Client extends EventEmitter {
  /** False for a client that leaves everything where it is. */
  reads = true
  isTerminated = false
  readonly #unread: (() => void)[] = []
  readonly received: { readonly type: number; readonly id: number; readonly payload: Buffer }[] = []

  constructor() {
    super()
    relay(this as unknown as WebSocketOfWs, () => true)
  }

  /** The relay's. */
  send(packet: Buffer, sent?: () => void): void {
    this.received.push({ type: packet[0], id: packet.readUInt32LE(1), payload: packet.subarray(5) })
    if (sent === undefined) return
    if (this.reads) setImmediate(sent)
    else this.#unread.push(sent)
  }

  readAll(): void {
    this.reads = true
    for (const sent of this.#unread.splice(0)) sent()
  }

  /** The relay's. */
  terminate(): void {
    this.isTerminated = true
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

  /** Credit that a stream has got. */
  credits(id: number): number[] {
    return this.received
      .filter((each) => each.type === WispType.continue && each.id === id)
      .map(({ payload }) => payload.readUInt32LE())
  }

  hasCredit(id: number): boolean {
    return this.credits(id).length > 0
  }
}

export function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (condition()) resolve()
      else setTimeout(check, 1)
    }
    check()
  })
}

/** A server that reads nothing by itself. */
export interface SilentServer {
  readonly server: Server
  readonly port: number
  /** All that it has accepted. */
  readonly connections: Socket[]
}

export async function silentServer(): Promise<SilentServer> {
  const connections: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, (socket) => connections.push(socket.on("error", () => {})))
  await once(server.listen(0, "127.0.0.1"), "listening")
  return { server, port: (server.address() as AddressInfo).port, connections }
}
