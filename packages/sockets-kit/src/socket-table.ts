import type { Socket } from "@demiflow/core"
import type { HostSocket } from "./host-socket.ts"

/** The open sockets, by number. */
export class SocketTable {
  readonly #sockets: (HostSocket | undefined)[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#sockets.length - this.#free.length
  }

  add(socket: HostSocket): Socket {
    const number = this.#free.pop() ?? this.#sockets.length
    this.#sockets[number] = socket
    return number as Socket
  }

  get(socket: Socket): HostSocket | undefined {
    return this.#sockets[socket]
  }

  remove(socket: Socket): void {
    if (this.#sockets[socket] === undefined) return
    this.#sockets[socket] = undefined
    this.#free.push(socket)
  }

  *[Symbol.iterator](): Generator<HostSocket> {
    for (const socket of this.#sockets) if (socket !== undefined) yield socket
  }
}
