import { connect, type Socket } from "node:net"
import { allowedAddress, CloseReason, CREDIT, reasonOf, type Stream, type ToClient, WispType } from "./stream.ts"

/** Bytes for the client above which nothing more is read. */
const MOST_BUFFERED = 4 << 20
/** Bytes for the server above which the client gets no credit. */
const MOST_UNSENT = 1 << 20

export class TcpStream implements Stream {
  readonly #toClient: ToClient
  readonly #id: number
  #socket: Socket | undefined
  /** What the client sends before the connection is made. */
  #early: Buffer[] = []
  #credit: number
  #sinceCredit = 0
  #isWaiting = false
  /** What the client has asked for: a reason, or that the WebSocket is gone. */
  #closing: { readonly reason: number | undefined } | undefined
  #hasEnded = false

  constructor(toClient: ToClient, id: number, host: string, port: number, credit: number) {
    this.#toClient = toClient
    this.#id = id
    this.#credit = credit
    allowedAddress(toClient, host, port).then(
      ({ address, family }) => this.#connect(address, family, port),
      (error) => toClient.close(id, reasonOf(error)),
    )
  }

  send(payload: Buffer): void {
    this.#sinceCredit++
    if (this.#socket === undefined || this.#socket.connecting) this.#early.push(payload)
    else this.#write(payload)
  }

  credit(packets: number): void {
    this.#credit = packets
    this.#resume()
  }

  close(reason: number | undefined): void {
    this.#closing = { reason }
    const socket = this.#socket
    if (socket === undefined || socket.connecting) {
      if (reason !== CloseReason.voluntary) socket?.destroy()
    } else this.#end(socket, reason)
  }

  #connect(host: string, family: number, port: number): void {
    if (this.#closing !== undefined && this.#closing.reason !== CloseReason.voluntary) return
    const socket = connect({ host, family, port, allowHalfOpen: true, noDelay: true })
    this.#socket = socket
    let reason: number = CloseReason.voluntary
    socket.on("connect", () => {
      for (const payload of this.#early) this.#write(payload)
      this.#early = []
      if (this.#closing !== undefined) this.#end(socket, this.#closing.reason)
      else this.#toClient.sendCredit(this.#id)
    })
    socket.on("data", (bytes) => this.#received(socket, bytes))
    socket.on("end", () => {
      this.#hasEnded = true
      if (this.#toClient.isTwoWay) this.#sendToClient(Buffer.alloc(0))
      // Without the extension, nothing else says so; what the client has sent is still sent.
      else socket.end()
    })
    socket.on("drain", () => this.#giveCredit())
    socket.on("error", (error) => {
      reason = reasonOf(error)
    })
    socket.on("close", () => this.#toClient.close(this.#id, reason))
  }

  #write(payload: Buffer): void {
    // The end of the client's direction.
    if (payload.length === 0) {
      if (this.#toClient.isTwoWay) this.#socket?.end()
      return
    }
    this.#socket?.write(payload)
    this.#giveCredit()
  }

  #giveCredit(): void {
    const socket = this.#socket
    if (this.#closing !== undefined || this.#sinceCredit < CREDIT / 2) return
    if (socket === undefined || socket.writableLength > MOST_UNSENT) return
    this.#sinceCredit = 0
    this.#toClient.sendCredit(this.#id)
  }

  #received(socket: Socket, bytes: Buffer): void {
    if (this.#closing !== undefined) return
    this.#credit--
    this.#sendToClient(bytes)
    if (this.#credit > 0 && this.#toClient.bufferedBytes <= MOST_BUFFERED) return
    this.#isWaiting = true
    socket.pause()
  }

  #sendToClient(bytes: Uint8Array): void {
    this.#toClient.send(WispType.data, this.#id, bytes, () => this.#resume())
  }

  #resume(): void {
    if (!this.#isWaiting || this.#credit <= 0 || this.#toClient.bufferedBytes > MOST_BUFFERED) return
    this.#isWaiting = false
    this.#socket?.resume()
  }

  #end(socket: Socket, reason: number | undefined): void {
    socket.resume()
    if (reason === CloseReason.voluntary || (this.#hasEnded && socket.writableEnded)) socket.destroySoon()
    else socket.resetAndDestroy()
  }
}
