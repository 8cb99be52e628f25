/**
 * Lists the ports of one protocol bound in a network namespace, by sock_diag(7).
 *
 * The kernel is asked for one state at a time. For listening TCP sockets it then scans their own table, which is small,
 * and not the table of all the machine's connections.
 */
import { IpProtocol } from "@demiflow/core"
import { AddressFamily } from "./constants.ts"
import { SystemError } from "./errno.ts"
import { MessageType } from "./netlink/constants.ts"
import type { NetlinkSocket } from "./netlink/socket.ts"
import { isOfFlows, parseLocalPort, parseState, writeSocketQuery } from "./netlink/sockets.ts"

/** TCP_LISTEN. TCP_CLOSE and TCP_ESTABLISHED: the states of UDP sockets that aren't connected, and that are. */
const LISTENING = 10
const UNCONNECTED = 7
const CONNECTED = 1

const FAMILIES = [AddressFamily.ipv4, AddressFamily.ipv6]

/** The ports of the namespace in which a socket was opened. */
export class NetlinkPorts {
  readonly #socket: NetlinkSocket
  readonly #protocol: number
  /** From the last complete answer. */
  #ports: Set<number>
  #connected: ReadonlySet<number> = new Set()

  /**
   * Reads the ports for the first time. Throws a `SystemError` where the kernel can't list them, or refuses to.
   *
   * @param socket of {@link NetlinkProtocol.socketDiagnosis}; stays the caller's
   * @param protocol IP protocol number: TCP or UDP
   */
  constructor(socket: NetlinkSocket, protocol: number) {
    this.#socket = socket
    this.#protocol = protocol
    this.#ports = this.#ask() ?? new Set()
  }

  /**
   * The ports of sockets that listen, or are bound and not connected, except those of flows, in no order. Sockets that
   * open or close during the answer may be missing; the next call includes them. If the answer breaks off, is refused,
   * or is inconsistent according to the kernel, returns the ports of the time before.
   */
  read(): Set<number> {
    try {
      this.#ports = this.#ask() ?? this.#ports
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    }
    return this.#ports
  }

  /** For UDP, the ports of connected sockets when the others were read. */
  get connected(): ReadonlySet<number> {
    return this.#connected
  }

  /** Undefined if the answer is inconsistent according to the kernel. */
  #ask(): Set<number> | undefined {
    const ports = new Set<number>()
    const connected = new Set<number>()
    const states = this.#protocol === IpProtocol.tcp ? [LISTENING] : [UNCONNECTED, CONNECTED]
    for (const family of FAMILIES) {
      const isWhole = this.#socket.dump(
        "list sockets",
        MessageType.socketsByFamily,
        (writer) => writeSocketQuery(writer, family, this.#protocol, states),
        (view, message) => {
          const port = parseLocalPort(view, message)
          if (port === 0) return
          if (parseState(view, message) === CONNECTED) connected.add(port)
          else if (this.#protocol === IpProtocol.tcp || !isOfFlows(view, message)) ports.add(port)
        },
      )
      if (!isWhole) return undefined
    }
    this.#connected = connected
    return ports
  }
}
