/**
 * Which addresses a network namespace has itself: the kernel says, and is asked anew each time. A list would have to be kept
 * true while addresses and routes change, and an address can be the host's by a route of the table `local` alone.
 */
import { type Address, type Arena, Errno, type OwnAddresses } from "@demiflow/core"
import { SystemError } from "../errno.ts"
import type { Native } from "../native.ts"
import { Family, MessageType, RouteAttribute, RouteType } from "./constants.ts"
import type { Message, MessageWriter } from "./message.ts"
import { parseRouteType } from "./routes.ts"
import { NetlinkSocket } from "./socket.ts"

/**
 * What the kernel answers that has no route to an address, or one that says so to programs. A route that drops packets in silence
 * isn't among them: its answer, EINVAL, may mean that the question wasn't understood.
 */
const NO_ROUTE: ReadonlySet<number> = new Set([Errno.ENETUNREACH, Errno.EHOSTUNREACH, Errno.EACCES])

/** {@link OwnAddresses} by the kernel's routes. */
export class HostAddresses implements OwnAddresses {
  readonly #socket: NetlinkSocket

  /**
   * Opens the socket by which the kernel is asked. Throws {@link SystemError}.
   *
   * @param namespaceDescriptor an open network namespace; -1 for the one that this process is in
   */
  constructor(native: Native, arena: Arena, namespaceDescriptor = -1) {
    this.#socket = new NetlinkSocket(native, arena, namespaceDescriptor)
  }

  isOwn(address: Readonly<Address>): boolean {
    let type: number | undefined
    const take = (view: DataView, message: Message) => {
      type = parseRouteType(view, message)
    }
    try {
      const write = (writer: MessageWriter) => writeRouteQuestion(writer, address)
      const error = this.#socket.ask("ask for a route", MessageType.getRoute, write, take)
      if (error < 0) return !NO_ROUTE.has(-error)
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
    }
    return type === undefined || type === RouteType.local || type === RouteType.anycast
  }

  close(): void {
    this.#socket.close()
  }
}

/** What RTM_GETROUTE takes to find the route of one address. */
function writeRouteQuestion(writer: MessageWriter, address: Readonly<Address>): void {
  const bytes = address.toBytes()
  writer.uint8(address.isV4 ? Family.ipv4 : Family.ipv6, bytes.length * 8, 0, 0, 0, 0, 0, 0).uint32(0)
  writer.attributeBytes(RouteAttribute.destination, bytes)
}
