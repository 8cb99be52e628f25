import type { SideRef, Socket } from "@demiflow/core"
import type { SimulatedSocket } from "./simulated-socket.ts"

const FIRST_DESCRIPTOR = 3
/** The first number of probes, counted from the first descriptor. */
const FIRST_PROBE = 1 << 20

/**
 * The open sockets of a simulated host, by descriptor. Descriptors are never reused, so that a use after close is
 * found; misuses are recorded.
 */
export class SocketTable {
  readonly open: Map<number, SimulatedSocket> = new Map()
  /** Uses of sockets that are closed, or of another kind. Empty if all is well. */
  readonly violations: string[] = []
  readonly #called: () => void
  readonly #most: number
  #nextDescriptor: number
  #nextProbe: number

  /**
   * @param called before each call that uses a socket
   * @param most sockets that may be open at once
   * @param firstDescriptor number of the first
   */
  constructor(called: () => void, most: number = Number.POSITIVE_INFINITY, firstDescriptor: number = FIRST_DESCRIPTOR) {
    this.#called = called
    this.#most = most
    this.#nextDescriptor = firstDescriptor
    this.#nextProbe = firstDescriptor + FIRST_PROBE
  }

  get isFull(): boolean {
    return this.open.size >= this.#most
  }

  /** The number of listening sockets. */
  get listeningCount(): number {
    let count = 0
    for (const socket of this.open.values()) if (socket.listening !== undefined) count++
    return count
  }

  newDescriptor(): Socket {
    return this.#nextDescriptor++ as Socket
  }

  /** Probes, which have no side, take separate numbers, so that a test can predict those of its flows: 3, 4, 5 … */
  descriptorFor(side: SideRef): Socket {
    return side < 0 ? (this.#nextProbe++ as Socket) : this.newDescriptor()
  }

  /**
   * Returns an open socket, of the given kind if there is one.
   *
   * @param call the name of the caller, recorded if there is no such socket
   */
  find<Kind extends SimulatedSocket>(
    socket: Socket,
    kind: (abstract new (...parameters: never[]) => Kind) | undefined,
    call: string,
  ): Kind | undefined {
    this.#called()
    const found = this.open.get(socket)
    if (found === undefined) {
      this.violations.push(`${call}(${socket}): the socket is not open`)
      return undefined
    }
    if (kind !== undefined && !(found instanceof kind)) {
      this.violations.push(`${call}(${socket}): the socket is of another kind`)
      return undefined
    }
    return found as Kind
  }
}
