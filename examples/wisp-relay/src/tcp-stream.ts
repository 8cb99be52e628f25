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
  /** Packets that the client may send at most, whichever of our packets it has received: never more than twice CREDIT. */
  #allowed = CREDIT
  #sinceCredit = 0
  #isWaiting = false
  #isClosed = false
  /** Of a closed stream: true if what the client has sent is still to arrive. */
  #isOrderly = false
  #hasEnded = false
  #hasClientEnded = false
  /** Why the connection has ended. */
  #reason: number = CloseReason.voluntary

  constructor(toClient: ToClient, id: number, host: string, port: number, credit: number) {
    this.#toClient = toClient
    this.#id = id
    this.#credit = credit
    allowedAddress(toClient, host, port).then(
      ({ address, family }) => this.#connect(address, family, port),
      (error) => toClient.ended(this, id, reasonOf(error)),
    )
  }

  send(payload: Buffer): void {
    if (this.#isClosed || this.#hasClientEnded) return
    if (payload.length === 0 && this.#toClient.isTwoWay) this.#hasClientEnded = true
    else if (--this.#allowed < 0) {
      this.destroy()
      return
    } else this.#sinceCredit++
    if (this.#socket === undefined || this.#socket.connecting) this.#early.push(payload)
    else this.#write(payload)
  }

  credit(packets: number): void {
    this.#credit = packets
    this.#resume()
  }

  close(isOrderly: boolean): void {
    this.#isClosed = true
    this.#isOrderly = isOrderly
    const socket = this.#socket
    if (socket !== undefined && !socket.connecting) this.#end(socket)
    else if (!isOrderly) this.destroy()
  }

  destroy(): void {
    this.#isClosed = true
    this.#isOrderly = false
    this.#early = []
    this.#reason = CloseReason.networkError
    if (this.#socket?.connecting) this.#socket.destroy()
    else if (this.#socket !== undefined) reset(this.#socket)
  }

  #connect(host: string, family: number, port: number): void {
    if (this.#isClosed && !this.#isOrderly) {
      this.#toClient.ended(this, this.#id, this.#reason)
      return
    }
    const socket = connect({ host, family, port, allowHalfOpen: true, noDelay: true })
    this.#socket = socket
    socket.on("connect", () => {
      this.#sinceCredit = 0
      for (const payload of this.#early) this.#write(payload)
      this.#early = []
      if (this.#isClosed) this.#end(socket)
      // This also says that the connection is made.
      else this.#grant(CREDIT)
    })
    socket.on("data", (bytes) => this.#received(socket, bytes))
    socket.on("end", () => {
      this.#hasEnded = true
      if (this.#isClosed) return
      if (this.#toClient.isTwoWay) this.#sendToClient(Buffer.alloc(0))
      // Without the extension, nothing else says so; what the client has sent is still sent.
      else socket.end()
    })
    socket.on("drain", () => this.#giveCredit())
    socket.on("error", (error) => {
      this.#reason = reasonOf(error)
    })
    socket.on("close", () => this.#toClient.ended(this, this.#id, this.#reason))
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
    if (this.#isClosed || this.#sinceCredit < CREDIT / 2) return
    if (socket === undefined || socket.writableLength > MOST_UNSENT) return
    this.#grant(this.#sinceCredit)
  }

  /** Gives credit for as many packets as have arrived: with more, what is on the way would add up to any number. */
  #grant(packets: number): void {
    this.#sinceCredit = 0
    this.#allowed += packets
    this.#toClient.sendCredit(this.#id, packets)
  }

  #received(socket: Socket, bytes: Buffer): void {
    if (this.#isClosed) return
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

  #end(socket: Socket): void {
    socket.resume()
    if (this.#isOrderly || (this.#hasEnded && socket.writableEnded)) socket.destroySoon()
    else reset(socket)
  }
}

function reset(socket: Socket): void {
  socket.resetAndDestroy()
  // That alone waits until everything is sent.
  if (socket.writableLength > 0) socket.destroy()
}
