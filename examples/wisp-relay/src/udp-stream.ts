import { createSocket, type Socket } from "node:dgram"
import { allowedAddress, reasonOf, type Stream, type ToClient, WispType } from "./stream.ts"

/** Bytes for the client above which datagrams are lost. */
const MOST_BUFFERED = 4 << 20
/** Datagrams that wait until the address is known. */
const MOST_EARLY = 256

export class UdpStream implements Stream {
  #socket: Socket | undefined
  #early: Buffer[] = []
  #isClosed = false
  #close: () => void = () => {}

  constructor(toClient: ToClient, id: number, host: string, port: number) {
    allowedAddress(toClient, host, port).then(
      ({ address, family }) => {
        if (this.#isClosed) return
        const socket = createSocket(family === 4 ? "udp4" : "udp6")
        socket.on("message", (bytes) => {
          if (toClient.bufferedBytes <= MOST_BUFFERED) toClient.send(WispType.data, id, bytes)
        })
        // Nobody listens there, which says nothing about the next datagram.
        socket.on("error", () => {})
        // An error here is one of `connect`: no route, or a broadcast address. Its stream never works.
        const connected = (error?: NodeJS.ErrnoException): void => {
          if (this.#isClosed) return
          if (error) {
            this.close()
            toClient.close(id, reasonOf(error))
            return
          }
          this.#socket = socket
          for (const payload of this.#early) socket.send(payload)
          this.#early = []
        }
        socket.connect(port, address, connected as () => void)
        this.#close = () => socket.close()
      },
      (error) => toClient.close(id, reasonOf(error)),
    )
  }

  send(payload: Buffer): void {
    if (this.#socket !== undefined) this.#socket.send(payload)
    else if (this.#early.length < MOST_EARLY) this.#early.push(payload)
  }

  credit(): void {}

  close(): void {
    this.#isClosed = true
    this.#close()
  }
}
