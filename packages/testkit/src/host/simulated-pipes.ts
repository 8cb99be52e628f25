import { Errno, type Pipe, type Pipes, type Socket } from "@demiflow/core"
import { ByteQueue } from "./byte-queue.ts"
import type { SimulatedHost } from "./simulated-host.ts"

/** How simulated pipes are made. */
export interface SimulatedPipesOptions {
  /** Bytes that a pipe takes; 65,536 by default. */
  readonly capacity?: number
  /** Pipes that may be open at once. */
  readonly descriptors?: number
}

const DEFAULT_CAPACITY = 65_536
const EBADF = 9

/** Pipes in memory, between the TCP sockets of simulated hosts. */
export class SimulatedPipes implements Pipes {
  /** What was done wrong: uses after close, filling of a pipe that is not empty. Empty if all is well. */
  readonly violations: string[] = []
  /** The low watermark of each socket that has another than the usual. */
  readonly lowWatermarks: Map<Socket, number> = new Map()
  readonly #hosts: readonly SimulatedHost[]
  readonly #capacity: number
  readonly #descriptors: number
  readonly #pipes = new Map<Pipe, ByteQueue>()
  #next = 0

  /** @param hosts whose sockets they connect; no two of their sockets have the same number */
  constructor(hosts: readonly SimulatedHost[], options: SimulatedPipesOptions = {}) {
    this.#hosts = hosts
    this.#capacity = options.capacity ?? DEFAULT_CAPACITY
    this.#descriptors = options.descriptors ?? Number.POSITIVE_INFINITY
  }

  /** Pipes with something in them. */
  get used(): number {
    return [...this.#pipes.values()].filter(({ length }) => length > 0).length
  }

  open(): Pipe {
    if (this.#pipes.size >= this.#descriptors) return -Errno.EMFILE as Pipe
    const pipe = this.#next++ as Pipe
    this.#pipes.set(pipe, new ByteQueue())
    return pipe
  }

  close(pipe: Pipe): void {
    if (!this.#pipes.delete(pipe)) this.violations.push(`close(${pipe}): the pipe is not open`)
  }

  fill(pipe: Pipe, socket: Socket): number {
    const queue = this.#find(pipe, "fill")
    if (queue === undefined) return -EBADF
    if (queue.length > 0) this.violations.push(`fill(${pipe}): the pipe is not empty`)
    const bytes = this.#hostOf(socket)?.read(socket, this.#capacity) ?? -EBADF
    if (typeof bytes === "number") return bytes
    queue.push(bytes)
    return bytes.length
  }

  drain(pipe: Pipe, socket: Socket, length: number): number {
    const queue = this.#find(pipe, "drain")
    if (queue === undefined) return -EBADF
    const taken = this.#hostOf(socket)?.write(socket, queue.slice(0, length)) ?? -EBADF
    if (taken > 0) queue.drop(taken)
    return taken
  }

  setLowWatermark(socket: Socket, bytes: number): number {
    if (this.#hostOf(socket) === undefined) {
      this.violations.push(`setLowWatermark(${socket}): the socket is not open`)
      return -EBADF
    }
    if (bytes === 1) this.lowWatermarks.delete(socket)
    else this.lowWatermarks.set(socket, bytes)
    return 0
  }

  #find(pipe: Pipe, call: string): ByteQueue | undefined {
    const queue = this.#pipes.get(pipe)
    if (queue === undefined) this.violations.push(`${call}(${pipe}): the pipe is not open`)
    return queue
  }

  #hostOf(socket: Socket): SimulatedHost | undefined {
    return this.#hosts.find((host) => host.has(socket))
  }
}
