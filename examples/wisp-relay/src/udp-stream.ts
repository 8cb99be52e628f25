import { createSocket, type Socket } from "node:dgram"
import {
  allowedAddress,
  CloseReason,
  MOST_FROM_CLIENT,
  own,
  reasonOf,
  type Stream,
  type ToClient,
  WispType,
} from "./stream.ts"

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
      (error) => {
        this.#forgetEarly()
        toClient.ended(this, id, reasonOf(error))
      },
    )
  }

  send(payload: Buffer): void {
    // Datagrams may be lost.
    if (this.#toClient.fromClient.bytes > MOST_FROM_CLIENT) return
    if (!this.#isConnected && this.#early.length >= MOST_EARLY) return
    const datagram = own(payload)
    this.#toClient.fromClient.add(datagram)
    if (this.#isConnected) this.#send(datagram)
    else this.#early.push(datagram)
  }

  credit(): void {}

  pauseOrRead(): void {}

  close(): void {
    this.destroy()
  }

  destroy(): void {
    this.#isClosed = true
    this.#forgetEarly()
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
      if (!this.#toClient.isFull) this.#toClient.send(WispType.data, this.#id, bytes)
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
      for (const datagram of this.#early) this.#send(datagram)
      this.#early = []
    }
    socket.connect(port, address, connected as () => void)
  }

  #send(datagram: Buffer): void {
    this.#socket?.send(datagram, () => this.#toClient.fromClient.remove(datagram))
  }

  #forgetEarly(): void {
    for (const datagram of this.#early) this.#toClient.fromClient.remove(datagram)
    this.#early = []
  }
}
