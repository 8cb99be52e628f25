/**
 * The server's side of the wisp protocol, version 1.2, for one WebSocket, with the extension for both directions that the
 * README of `@demiflow/web-sockets` describes.
 */
import { Backlog } from "./backlog.ts"
import { CloseReason, CREDIT, type Stream, StreamType, type ToClient, WispType } from "./stream.ts"
import { TcpStream } from "./tcp-stream.ts"
import { UdpStream } from "./udp-stream.ts"
import type { WebSocketOfWs } from "./ws.ts"

const MOST_STREAMS = 1_024
/** Milliseconds in which a stream that its client has closed has to send what is left. */
const CLOSING_TIME = 120_000
/** Bytes for the client, of all streams, above which nothing more is read. */
const MOST_TO_CLIENT = 4 << 20
/** The longest name of a host (RFC 1035, section 2.3.4). */
const LONGEST_HOST = 255

/** Says whether clients may reach an address. */
export type Allows = (address: string, port: number) => boolean

export function relay(webSocket: WebSocketOfWs, allows: Allows): void {
  const streams = new Map<number, Stream>()
  /** Streams that the client has closed and that still send. Their numbers may be in use again. */
  const closing = new Map<Stream, NodeJS.Timeout>()
  /** Packets that the client buffers for each stream; any number, for one without the extension. */
  let clientCredit = Number.POSITIVE_INFINITY
  const fromClient = new Backlog()
  /** What the WebSocket hasn't sent. */
  const unsent = new Backlog()
  let isFull = false

  function setFull(value: boolean): void {
    isFull = value
    for (const each of streams.values()) each.pauseOrRead()
  }

  const toClient: ToClient = {
    get isTwoWay() {
      return clientCredit !== Number.POSITIVE_INFINITY
    },
    fromClient,
    get isFull() {
      return isFull
    },
    send(type, id, payload) {
      const packet = Buffer.allocUnsafe(5 + payload.length)
      packet[0] = type
      packet.writeUInt32LE(id, 1)
      packet.set(payload, 5)
      unsent.add(packet)
      webSocket.send(packet, () => {
        unsent.remove(packet)
        if (isFull && unsent.bytes <= MOST_TO_CLIENT / 2) setFull(false)
      })
      if (!isFull && unsent.bytes > MOST_TO_CLIENT) setFull(true)
      // These are answers to packets: the client sends, and doesn't read.
      else if (unsent.bytes > 2 * MOST_TO_CLIENT) webSocket.terminate()
    },
    sendCredit(id, packets) {
      const payload = Buffer.allocUnsafe(4)
      payload.writeUInt32LE(packets)
      this.send(WispType.continue, id, payload)
    },
    ended(stream, id, reason) {
      clearTimeout(closing.get(stream))
      closing.delete(stream)
      if (streams.get(id) !== stream) return
      streams.delete(id)
      this.send(WispType.close, id, Buffer.of(reason))
    },
    allows,
  }

  function connect(id: number, payload: Buffer): void {
    const refuse = (reason: number) => toClient.send(WispType.close, id, Buffer.of(reason))
    if (id === 0 || streams.has(id) || payload.length < 4 || payload.length > 3 + LONGEST_HOST)
      refuse(CloseReason.invalid)
    else if (streams.size + closing.size >= MOST_STREAMS) refuse(CloseReason.throttled)
    else {
      const type = payload[0]
      const port = payload.readUInt16LE(1)
      const host = payload.toString("utf8", 3)
      if (port === 0 || (type !== StreamType.tcp && type !== StreamType.udp)) refuse(CloseReason.invalid)
      else if (type === StreamType.tcp) streams.set(id, new TcpStream(toClient, id, host, port, clientCredit))
      else streams.set(id, new UdpStream(toClient, id, host, port))
    }
  }

  webSocket.on("message", (message: Buffer, isBinary: boolean) => {
    if (!isBinary || message.length < 5) return
    const id = message.readUInt32LE(1)
    const payload = message.subarray(5)
    const stream = streams.get(id)
    if (message[0] === WispType.connect) connect(id, payload)
    else if (message[0] === WispType.data) stream?.send(payload)
    else if (message[0] === WispType.continue && payload.length >= 4) {
      const packets = payload.readUInt32LE()
      if (id === 0) clientCredit = packets
      for (const each of id === 0 ? streams.values() : [stream]) each?.credit(packets)
    } else if (message[0] === WispType.close && stream !== undefined) {
      streams.delete(id)
      closing.set(
        stream,
        setTimeout(() => stream.destroy(), CLOSING_TIME),
      )
      stream.close(payload[0] === CloseReason.voluntary)
    }
  })
  webSocket.on("error", () => {})
  webSocket.on("close", () => {
    for (const timer of closing.values()) clearTimeout(timer)
    const left = [...streams.values(), ...closing.keys()]
    streams.clear()
    closing.clear()
    for (const stream of left) stream.destroy()
  })

  // The second announces the extension; it means nothing to others.
  toClient.sendCredit(0, CREDIT)
  toClient.sendCredit(0, CREDIT)
}
