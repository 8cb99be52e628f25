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
import { parseLocalPort, writeSocketQuery } from "./netlink/sockets.ts"

/** TCP_LISTEN; and TCP_CLOSE, as UDP has it of a socket that isn't connected. */
const LISTENING = 10
const UNCONNECTED = 7

const FAMILIES = [AddressFamily.ipv4, AddressFamily.ipv6]

/** The ports of the namespace in which a socket was opened. */
export class NetlinkPorts {
  readonly #socket: NetlinkSocket
  readonly #protocol: number
  /** As of the last answer that came to its end. */
  #ports: Set<number>

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
   * The ports at which somebody listens, or that are bound and not connected; in no order. Sockets that come or go while the
   * kernel tells of them may be missing or not: who asks again later hears of them. Ports are those of the time before if the
   * answer breaks off, is refused, or the kernel says that it isn't consistent; if it refuses from now on, they stay so.
   */
  read(): Set<number> {
    try {
      this.#ports = this.#ask() ?? this.#ports
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    }
    return this.#ports
  }

  /** Undefined if the kernel says that what it answered isn't consistent. */
  #ask(): Set<number> | undefined {
    const ports = new Set<number>()
    const state = this.#protocol === IpProtocol.tcp ? LISTENING : UNCONNECTED
    for (const family of FAMILIES) {
      const isWhole = this.#socket.dump(
        "list sockets",
        MessageType.socketsByFamily,
        (writer) => writeSocketQuery(writer, family, this.#protocol, state),
        (view, message) => {
          const port = parseLocalPort(view, message)
          if (port > 0) ports.add(port)
        },
      )
      if (!isWhole) return undefined
    }
    return ports
  }
}
