/**
 * Which ports of one protocol are bound in a network namespace, by what sock_diag(7) says.
 *
 * The kernel looks for sockets in one state only. So for those of TCP that listen it looks through their own table, which is
 * small, and not through that of all connections of the machine.
 */
import { IpProtocol } from "@demiflow/core"
import { AddressFamily } from "./constants.ts"
import { SystemError } from "./errno.ts"
import { MessageType } from "./netlink/constants.ts"
import type { NetlinkSocket } from "./netlink/socket.ts"
import { isOfFlows, parseLocalPort, parseState, writeSocketQuery } from "./netlink/sockets.ts"

/** TCP_LISTEN; and TCP_CLOSE and TCP_ESTABLISHED, as UDP has them of sockets that aren't connected, and that are. */
const LISTENING = 10
const UNCONNECTED = 7
const CONNECTED = 1

const FAMILIES = [AddressFamily.ipv4, AddressFamily.ipv6]

/** The ports of the namespace in which a socket was opened. */
export class NetlinkPorts {
  readonly #socket: NetlinkSocket
  readonly #protocol: number
  /** As of the last answer that came to its end. */
  #ports: Set<number>
  #connected: ReadonlySet<number> = new Set()

  /**
   * Asks for the first time. Throws a `SystemError` where the kernel can't tell, or doesn't want to.
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
   * The ports at which somebody listens, or that are bound and not connected, those of flows aside; in no order. Sockets that
   * come or go during the answer may be missing or not: who asks again later hears of them. Ports are those of the time before if
   * the answer breaks off, is refused, or the kernel says that it isn't consistent; if it refuses from now on, they stay so.
   */
  read(): Set<number> {
    try {
      this.#ports = this.#ask() ?? this.#ports
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    }
    return this.#ports
  }

  /** Of UDP, the ports that connected sockets had when the others were read. */
  get connected(): ReadonlySet<number> {
    return this.#connected
  }

  /** Undefined if the kernel says that what it answered isn't consistent. */
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
