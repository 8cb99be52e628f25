import { createSocket, type Socket } from "node:dgram"
import { allowedAddress, CloseReason, reasonOf, type Stream, type ToClient, WispType } from "./stream.ts"

/** Bytes for the client above which datagrams are lost. */
const MOST_BUFFERED = 4 << 20
/** Datagrams that wait until the address is known. */
const MOST_EARLY = 256

export class UdpStream implements Stream {
  readonly #toClient: ToClient
  readonly #id: number
  #socket: Socket | undefined
  #isConnected = false
  #early: Buffer[] = []
  #isClosed = false
  #reason: number = CloseReason.networkError

  constructor(toClient: ToClient, id: number, host: string, port: number) {
    this.#toClient = toClient
    this.#id = id
    allowedAddress(toClient, host, port).then(
      ({ address, family }) => this.#connect(address, family, port),
      (error) => toClient.ended(this, id, reasonOf(error)),
    )
  }

  send(payload: Buffer): void {
    if (this.#isConnected) this.#socket?.send(payload)
    else if (this.#early.length < MOST_EARLY) this.#early.push(payload)
  }

  credit(): void {}

  close(): void {
    this.destroy()
  }

  destroy(): void {
    this.#isClosed = true
    this.#early = []
    // Until there is a socket, the question for the address counts.
    if (this.#socket === undefined) return
    this.#socket.close()
    this.#toClient.ended(this, this.#id, this.#reason)
  }

  #connect(address: string, family: number, port: number): void {
    if (this.#isClosed) {
      this.#toClient.ended(this, this.#id, this.#reason)
      return
    }
    const socket = createSocket(family === 4 ? "udp4" : "udp6")
    this.#socket = socket
    socket.on("message", (bytes) => {
      if (this.#toClient.bufferedBytes <= MOST_BUFFERED) this.#toClient.send(WispType.data, this.#id, bytes)
    })
    // Nobody listens there, which says nothing about the next datagram.
    socket.on("error", () => {})
    // An error here is one of `connect`: no route, or a broadcast address. Such a stream never works.
    const connected = (error?: NodeJS.ErrnoException): void => {
      if (this.#isClosed) return
      if (error) {
        this.#reason = reasonOf(error)
        this.destroy()
        return
      }
      this.#isConnected = true
      for (const payload of this.#early) socket.send(payload)
      this.#early = []
    }
    socket.connect(port, address, connected as () => void)
  }
}
