import { createServer, type Socket as NodeSocket, type Server } from "node:net"
import { type Demiflow, Errno, type ListenerRef, type ListeningEnd, SocketEvent } from "@demiflow/core"
import { type EventList, errnoOf, HostSocket } from "@demiflow/sockets-kit"
import type { Lingering } from "./lingering.ts"
import { readAddress } from "./node-address.ts"
import { TcpConnection } from "./tcp-connection.ts"
import { textOf } from "./zones.ts"

/** Connections that the system holds, and as many wait here. */
const BACKLOG = 1024

/** A listening TCP socket, by a server of `node:net`. Connections wait, unread, until they are accepted. */
export class TcpListener extends HostSocket {
  readonly end: ListeningEnd
  readonly #server: Server
  #waiting: NodeSocket[] = []

  /**
   * @param zone of a link-local address
   * @param onError called if it turns out that the socket can't listen there, with a positive error number
   */
  constructor(
    events: EventList,
    listener: ListenerRef,
    end: ListeningEnd,
    zone: string | undefined,
    onError: (errno: number) => void,
  ) {
    super(events)
    this.listener = listener
    this.end = end
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
    this.#server.on("connection", (socket: NodeSocket) => this.#arrived(socket))
    this.#server.on("error", (cause) => {
      if (!this.isOpen) return
      const errno = errnoOf(cause, Errno.EIO)
      // Errors of accepting pass by themselves.
      if (this.#server.listening) return
      this.pendingError = errno
      this.report(SocketEvent.error)
      onError(errno)
    })
    const { address, port } = end
    const where = address === undefined ? {} : { host: textOf(address, zone), ipv6Only: !address.isV4 }
    this.#server.listen({ ...where, port, backlog: BACKLOG, exclusive: true })
  }

  get waiting(): number {
    this.#skipGone()
    return this.#waiting.length
  }

  /** Accepts a connection, and fills in both of its ends. */
  accept(events: EventList, lingering: Lingering, demiflow: Demiflow): TcpConnection | number {
    for (;;) {
      const socket = this.#waiting.shift()
      if (socket === undefined) return this.pendingError === 0 ? -Errno.EAGAIN : this.takeError()
      // One that the correspondent has reset has no ends. Nothing has reported that, as nobody reads what waits.
      if (readAddress(socket.remoteAddress, demiflow.correspondentAddress)) {
        demiflow.correspondentPort = socket.remotePort ?? 0
        readAddress(socket.localAddress, demiflow.forwardingAddress)
        demiflow.forwardingPort = socket.localPort ?? 0
        return TcpConnection.accepted(events, lingering, socket, demiflow)
      }
      socket.destroy()
    }
  }

  override boundEnd(demiflow: Demiflow): number {
    const bound = this.#server.address()
    if (bound === null || typeof bound === "string") return -Errno.EINVAL
    readAddress(bound.address, demiflow.forwardingAddress)
    demiflow.forwardingPort = bound.port
    return 0
  }

  protected override shut(): void {
    this.#server.close()
    for (const socket of this.#waiting) socket.resetAndDestroy()
    this.#waiting = []
  }

  #arrived(socket: NodeSocket): void {
    // Until it is accepted, nobody else hears of its errors.
    socket.on("error", () => {})
    if (!this.isOpen || this.#waiting.length >= BACKLOG) {
      socket.resetAndDestroy()
      return
    }
    this.#waiting.push(socket)
    this.report(SocketEvent.readable)
  }

  #skipGone(): void {
    if (this.#waiting.some(({ destroyed }) => destroyed)) {
      this.#waiting = this.#waiting.filter(({ destroyed }) => !destroyed)
    }
  }
}
