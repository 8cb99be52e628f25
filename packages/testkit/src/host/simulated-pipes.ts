import { Errno, NO_PIPE, type Pipe, type Pipes, type Socket } from "@demiflow/core"
import type { SeededRandom } from "../seeded-random.ts"
import { ByteQueue } from "./byte-queue.ts"
import type { SimulatedSockets } from "./simulated-sockets.ts"
import type { TcpSocket } from "./tcp-socket.ts"

/** Options of simulated pipes. */
export interface SimulatedPipesOptions {
  /** Capacity of a pipe, bytes; 65,536 by default, as on Linux. */
  readonly capacity?: number
  /** Maximum number of open pipes; one more is refused with EMFILE. */
  readonly most?: number
  /** Probability that a pipe takes fewer bytes than have arrived and would fit: a page may hold a single byte. */
  readonly partialFill?: number
}

const EBADF = 9
const EINVAL = 22
const DEFAULT_CAPACITY = 65_536

/**
 * Pipes between the TCP sockets of simulated hosts, as `splice(2)` uses them.
 *
 * Misuse is recorded in {@link SimulatedPipes.violations}: using a closed pipe, filling one that
 * isn't empty, draining more than it holds. The kernel would return EAGAIN for each, for ever.
 */
export class SimulatedPipes implements Pipes {
  /** Misuses of pipes. Empty if all is well. */
  readonly violations: string[] = []
  /** Pipes opened so far. */
  opened = 0
  readonly #hosts: readonly SimulatedSockets[]
  readonly #random: SeededRandom
  readonly #options: SimulatedPipesOptions
  readonly #pipes = new Map<Pipe, ByteQueue>()

  /** @param hosts the hosts whose sockets are spliced; their socket numbers differ */
  constructor(hosts: readonly SimulatedSockets[], random: SeededRandom, options: SimulatedPipesOptions = {}) {
    this.#hosts = hosts
    this.#random = random
    this.#options = options
  }

  /** Number of pipes that are open. */
  get openPipes(): number {
    return this.#pipes.size
  }

  /** Of these, the number that aren't empty. */
  get usedPipes(): number {
    return [...this.#pipes.values()].filter(({ length }) => length > 0).length
  }

  open(): Pipe {
    if (this.#pipes.size >= (this.#options.most ?? Number.POSITIVE_INFINITY)) return -Errno.EMFILE as Pipe
    // Numbers are never reused, so that a use after close is found.
    const pipe = this.opened++ as Pipe
    this.#pipes.set(pipe, new ByteQueue())
    return pipe
  }

  close(pipe: Pipe): void {
    if (this.#find(pipe, "close") !== undefined) this.#pipes.delete(pipe)
  }

  fill(pipe: Pipe, socket: Socket): number {
    const queue = this.#find(pipe, "fill")
    const tcp = this.#findSocket(socket, "fill")
    if (queue === undefined || tcp === undefined) return -EBADF
    if (queue.length > 0) return this.#refuse(`fill(${pipe}): the pipe is not empty`)
    const bytes = new Uint8Array(this.#lengthToFill(tcp.unread))
    const moved = tcp.peek(bytes, 0)
    if (moved <= 0) return moved
    tcp.discard(moved)
    queue.push(bytes.subarray(0, moved))
    return moved
  }

  drain(pipe: Pipe, socket: Socket, length: number): number {
    const queue = this.#find(pipe, "drain")
    const tcp = this.#findSocket(socket, "drain")
    if (queue === undefined || tcp === undefined) return -EBADF
    if (length <= 0 || length > queue.length) {
      return this.#refuse(`drain(${pipe}): ${length} bytes of a pipe that holds ${queue.length}`)
    }
    const taken = tcp.send(queue.slice(0, length))
    if (taken > 0) queue.drop(taken)
    return taken
  }

  #lengthToFill(unread: number): number {
    const { capacity = DEFAULT_CAPACITY, partialFill = 0 } = this.#options
    const length = Math.min(capacity, unread)
    // An empty socket is read as well, for its end or error.
    if (length > 1 && this.#random.chance(partialFill)) return this.#random.between(1, length - 1)
    return Math.max(1, length)
  }

  #find(pipe: Pipe, call: string): ByteQueue | undefined {
    const found = this.#pipes.get(pipe)
    if (found === undefined) {
      this.violations.push(`${call}(${pipe === NO_PIPE ? "no pipe" : pipe}): the pipe is not open`)
    }
    return found
  }

  #findSocket(socket: Socket, call: string): TcpSocket | undefined {
    const owner = this.#hosts.find((sockets) => sockets.hasSocket(socket)) ?? this.#hosts[0]
    return owner?.findTcp(socket, call)
  }

  #refuse(violation: string): number {
    this.violations.push(violation)
    return -EINVAL
  }
}
