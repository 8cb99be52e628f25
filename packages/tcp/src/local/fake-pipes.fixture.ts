import { Errno, type Pipe, type Pipes, type Socket, type Sockets, type Vectors } from "@demiflow/core"

/** Pipes between sockets of which only the numbers of bytes are known, and a host with such sockets. */
export class FakePipes implements Pipes {
  /** Bytes that wait at a socket. */
  readonly waiting: Map<Socket, number> = new Map()
  /** Bytes that a socket takes. */
  readonly room: Map<Socket, number> = new Map()
  /** Sockets whose correspondent has ended. */
  readonly ended: Set<Socket> = new Set()
  /** Bytes in each pipe that is open. */
  readonly held: Map<Pipe, number> = new Map()
  capacity = 1000
  /** Sockets that are at a byte marked as urgent. */
  readonly atMark: Set<Socket> = new Set()
  /** Maximum number of pipes that may be open. */
  most = 100
  #next = 0

  open(): Pipe {
    if (this.held.size === this.most) return -Errno.EMFILE as Pipe
    const pipe = this.#next++ as Pipe
    this.held.set(pipe, 0)
    return pipe
  }

  close(pipe: Pipe): void {
    if (!this.held.delete(pipe)) throw new Error(`pipe ${pipe} is not open`)
  }

  fill(pipe: Pipe, socket: Socket): number {
    if (this.held.get(pipe) !== 0) throw new Error(`pipe ${pipe} is not empty`)
    const waiting = this.waiting.get(socket) ?? 0
    if (waiting < 0) return waiting
    const count = this.atMark.has(socket) ? 0 : Math.min(waiting, this.capacity)
    if (count === 0) return this.ended.has(socket) ? 0 : -Errno.EAGAIN
    this.waiting.set(socket, waiting - count)
    this.held.set(pipe, count)
    return count
  }

  drain(pipe: Pipe, socket: Socket, length: number): number {
    const room = this.room.get(socket) ?? 0
    if (room < 0) return room
    const count = Math.min(room, length)
    if (count === 0) return -Errno.EAGAIN
    this.room.set(socket, room - count)
    this.held.set(pipe, (this.held.get(pipe) ?? 0) - count)
    return count
  }

  /** The copying calls of a host. */
  get sockets(): Sockets {
    const sockets: Pick<Sockets, "peek" | "send" | "discard" | "unread"> = {
      unread: (socket: Socket) => this.waiting.get(socket) ?? 0,
      peek: (socket: Socket, vectors: Vectors, first: number) => {
        const waiting = this.waiting.get(socket) ?? 0
        if (waiting === 0) return this.ended.has(socket) ? 0 : -Errno.EAGAIN
        return Math.min(waiting, vectors.lengthAt(first))
      },
      send: (socket: Socket, vectors: Vectors, first: number) => {
        const room = this.room.get(socket) ?? 0
        const count = Math.min(room, vectors.lengthAt(first))
        if (count === 0) return -Errno.EAGAIN
        this.room.set(socket, room - count)
        return count
      },
      discard: (socket: Socket, length: number) => {
        this.waiting.set(socket, (this.waiting.get(socket) ?? 0) - length)
        this.atMark.delete(socket)
        return length
      },
    }
    return sockets as Sockets
  }
}

export const FROM: Socket = 10 as Socket
export const TO: Socket = 11 as Socket
