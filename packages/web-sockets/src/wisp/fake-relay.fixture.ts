/** A WebSocket whose other end the test plays, packet by packet. */
import { Address, Arena, Demiflow, Interface, type SideRef, type Socket, UNSPECIFIED_V4, Vectors } from "@demiflow/core"
import { WebLoop } from "../web-loop.ts"
import { closePacket, continuePacket, dataPacket, getUint32, HEADER_LENGTH, WispType } from "./packets.ts"
import { WispSockets, type WispSocketsOptions } from "./wisp-sockets.ts"
import type { WispWebSocket } from "./wisp-web-socket.ts"

export class FakeWebSocket implements WispWebSocket {
  binaryType = "blob"
  readyState = 1
  bufferedAmount = 0
  readonly sent: Uint8Array[] = []
  readonly #listeners = new Map<string, (event: object) => void>()

  addEventListener(type: string, listener: (event: object) => void): void {
    this.#listeners.set(type, listener)
  }

  send(message: Uint8Array): void {
    this.sent.push(message)
  }

  close(): void {
    if (this.readyState === 3) return
    this.readyState = 3
    this.#listeners.get("close")?.({})
  }

  receive(data: unknown): void {
    this.#listeners.get("message")?.({ data: data instanceof Uint8Array ? data.slice().buffer : data })
  }

  credit(stream: number, packets: number): void {
    this.receive(continuePacket(stream, packets))
  }

  data(stream: number, length: number, fill = 0): void {
    this.receive(dataPacket(stream, length).fill(fill, HEADER_LENGTH))
  }

  end(stream: number, reason: number): void {
    this.receive(closePacket(stream, reason))
  }

  /** Takes the packets that were sent, as type, stream and bytes of payload. */
  take(): [type: number, stream: number, length: number][] {
    return this.sent
      .splice(0)
      .map((packet) => [packet[0], getUint32(packet, 1), packet.length - HEADER_LENGTH] as [number, number, number])
  }

  /** Reasons of the CLOSE packets among those that were sent, by stream; takes nothing. */
  get closes(): [stream: number, reason: number][] {
    return this.sent
      .filter(([type]) => type === WispType.close)
      .map((packet) => [getUint32(packet, 1), packet[HEADER_LENGTH]] as [number, number])
  }
}

const REGION_BYTES = 1 << 20

export class FakeRelay {
  readonly sockets: WispSockets
  readonly webSockets: FakeWebSocket[] = []
  readonly arena: Arena = new Arena(2 << 20)
  readonly vectors: Vectors = new Vectors(this.arena, 4)
  readonly region: number = this.arena.reserve(REGION_BYTES, 64)

  constructor(options: Partial<WispSocketsOptions> = {}) {
    const open = () => {
      const webSocket = new FakeWebSocket()
      this.webSockets.push(webSocket)
      return webSocket
    }
    this.sockets = new WispSockets(this.arena, new WebLoop(), { open, ...options })
  }

  /** The WebSocket that was opened last. */
  get webSocket(): FakeWebSocket {
    return this.webSockets[this.webSockets.length - 1]
  }

  towards(address = "192.0.2.1", port = 80): Demiflow {
    return Demiflow.of(Interface.host, UNSPECIFIED_V4 as Address, 0, Address.parse(address), port)
  }

  connect(): Socket {
    return this.sockets.tcpConnect(1 as SideRef, this.towards())
  }

  /** A connection that the relay has confirmed. */
  connected(credit = 16, isTwoWay = false): Socket {
    const socket = this.connect()
    this.webSocket.credit(0, credit)
    if (isTwoWay) this.webSocket.credit(0, credit)
    this.webSocket.credit(1, credit)
    this.webSocket.take()
    return socket
  }

  send(socket: Socket, length: number): number {
    this.vectors.set(0, this.region, length)
    return this.sockets.send(socket, this.vectors, 0, 1)
  }

  peek(socket: Socket, length: number): number {
    this.vectors.set(0, this.region, length)
    return this.sockets.peek(socket, this.vectors, 0, 1, 0)
  }
}
