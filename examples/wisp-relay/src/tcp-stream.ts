import { connect, type Socket } from "node:net"
import {
  allowedAddress,
  CloseReason,
  CREDIT,
  MOST_FROM_CLIENT,
  own,
  reasonOf,
  type Stream,
  type ToClient,
  WispType,
} from "./stream.ts"

/** Bytes for the server above which the client gets no credit. */
const MOST_UNSENT = 1 << 20
/** What sockets read is in the WebSocket's packets before the next one reads. */
const shared = new Uint8Array(64 << 10)

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
  /** True while nothing is read. */
  #isPaused = false
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
      (error) => {
        this.#forgetEarly()
        toClient.ended(this, id, reasonOf(error))
      },
    )
  }

  send(payload: Buffer): void {
    if (this.#isClosed || this.#hasClientEnded) return
    if (payload.length === 0 && this.#toClient.isTwoWay) this.#hasClientEnded = true
    else if (--this.#allowed < 0) {
      this.destroy()
      return
    } else if (this.#toClient.fromClient.bytes > MOST_FROM_CLIENT) {
      this.destroy(CloseReason.throttled)
      return
    } else this.#sinceCredit++
    const packet = own(payload)
    this.#toClient.fromClient.add(packet)
    if (this.#socket === undefined || this.#socket.connecting) this.#early.push(packet)
    else this.#write(this.#socket, packet)
  }

  credit(packets: number): void {
    this.#credit = packets
    this.pauseOrRead()
  }

  pauseOrRead(): void {
    if (this.#isClosed || this.#socket === undefined || this.#mayRead !== this.#isPaused) return
    this.#isPaused = !this.#mayRead
    if (this.#isPaused) this.#socket.pause()
    else this.#socket.resume()
  }

  close(isOrderly: boolean): void {
    this.#isClosed = true
    this.#isOrderly = isOrderly
    const socket = this.#socket
    if (socket !== undefined && !socket.connecting) this.#end(socket)
    else if (!isOrderly) this.destroy()
  }

  destroy(reason: number = CloseReason.networkError): void {
    this.#isClosed = true
    this.#isOrderly = false
    this.#forgetEarly()
    this.#reason = reason
    if (this.#socket?.connecting) this.#socket.destroy()
    else if (this.#socket !== undefined) reset(this.#socket)
  }

  #connect(host: string, family: number, port: number): void {
    if (this.#isClosed && !this.#isOrderly) {
      this.#toClient.ended(this, this.#id, this.#reason)
      return
    }
    const onread = { buffer: shared, callback: (length: number) => this.#received(shared.subarray(0, length)) }
    const socket = connect({ host, family, port, allowHalfOpen: true, noDelay: true, onread })
    this.#socket = socket
    this.#isPaused = !this.#mayRead
    if (this.#isPaused) socket.pause()
    socket.on("connect", () => {
      this.#sinceCredit = 0
      for (const packet of this.#early) this.#write(socket, packet)
      this.#early = []
      if (this.#isClosed) this.#end(socket)
      // This also says that the connection is made.
      else this.#grant(CREDIT)
    })
    socket.on("end", () => {
      this.#hasEnded = true
      if (this.#isClosed) return
      if (this.#toClient.isTwoWay) this.#toClient.send(WispType.data, this.#id, Buffer.alloc(0))
      // Without the extension, nothing else says so; what the client has sent is still sent.
      else socket.end()
    })
    socket.on("error", (error) => {
      this.#reason = reasonOf(error)
    })
    socket.on("close", () => {
      this.#forgetEarly()
      this.#toClient.ended(this, this.#id, this.#reason)
    })
  }

  #write(socket: Socket, packet: Buffer): void {
    const { fromClient, isTwoWay } = this.#toClient
    const taken = () => {
      fromClient.remove(packet)
      this.#giveCredit(socket)
    }
    if (packet.length > 0) socket.write(packet, taken)
    else {
      // The end of the client's direction.
      if (isTwoWay) socket.end()
      taken()
    }
  }

  #giveCredit(socket: Socket): void {
    if (this.#isClosed || this.#sinceCredit < CREDIT / 2) return
    // While the client has much under way, only streams whose server takes everything go on.
    const most = this.#toClient.fromClient.bytes > MOST_FROM_CLIENT / 2 ? 0 : MOST_UNSENT
    if (socket.writableLength <= most) this.#grant(this.#sinceCredit)
  }

  /** Gives credit for as many packets as have arrived: with more, what is on the way would add up to any number. */
  #grant(packets: number): void {
    this.#sinceCredit = 0
    this.#allowed += packets
    this.#toClient.sendCredit(this.#id, packets)
  }

  get #mayRead(): boolean {
    return this.#credit > 0 && !this.#toClient.isFull
  }

  /** @returns true if the socket may go on reading */
  #received(bytes: Uint8Array): boolean {
    if (this.#isClosed) return true
    this.#credit--
    this.#toClient.send(WispType.data, this.#id, bytes)
    this.pauseOrRead()
    return !this.#isPaused
  }

  #forgetEarly(): void {
    for (const packet of this.#early) this.#toClient.fromClient.remove(packet)
    this.#early = []
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
