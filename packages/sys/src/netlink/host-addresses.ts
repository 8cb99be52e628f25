/**
 * Which addresses a network namespace has itself: the kernel says, and is asked anew each time. A list would have to be kept
 * true while addresses and routes change, and an address can be the host's by a route of the table `local` alone.
 */
import { type Address, type Arena, Errno, type OwnAddresses } from "@demiflow/core"
import { checkResult, SystemError } from "../errno.ts"
import type { NetworkNamespace } from "../namespace/network-namespace.ts"
import type { Native } from "../native.ts"
import { Family, MessageType, RouteAttribute, RouteType } from "./constants.ts"
import type { Message, MessageWriter } from "./message.ts"
import { parseRouteType } from "./routes.ts"
import { NetlinkSocket } from "./socket.ts"

const ACTION = "ask for a route"

/**
 * What the kernel answers that has no route to an address, or one that says so to programs. A route that drops packets in silence
 * isn't among them: its answer, EINVAL, may mean that the question wasn't understood.
 */
const NO_ROUTE: ReadonlySet<number> = new Set([Errno.ENETUNREACH, Errno.EHOSTUNREACH, Errno.EACCES])

/** What {@link HostAddresses} is about. */
export interface HostAddressesOptions {
  /** The one that this process is in if absent. */
  readonly namespace?: NetworkNamespace
  /** Index of the interface on which link-local IPv6 addresses are; any if absent. */
  readonly linkLocalScope?: number | undefined
  /** Hears once, as a sentence, that the kernel doesn't say whether an address is the host's own. */
  readonly warn: (message: string) => void
}

/** {@link OwnAddresses} by the kernel's routes. */
export class HostAddresses implements OwnAddresses {
  readonly #socket: NetlinkSocket
  readonly #linkLocalScope: number
  readonly #warn: (message: string) => void
  #hasWarned = false

  /** Opens the socket by which the kernel is asked. Throws {@link SystemError}. */
  constructor(native: Native, arena: Arena, { namespace, linkLocalScope = 0, warn }: HostAddressesOptions) {
    this.#socket = new NetlinkSocket(native, arena, namespace)
    this.#linkLocalScope = linkLocalScope
    this.#warn = warn
  }

  isOwn(address: Readonly<Address>): boolean {
    let type: number | undefined
    const take = (view: DataView, message: Message) => {
      type = parseRouteType(view, message)
    }
    try {
      const scope = address.isLinkLocal && !address.isV4 ? this.#linkLocalScope : 0
      const write = (writer: MessageWriter) => writeRouteQuestion(writer, address, scope)
      const error = this.#socket.ask(ACTION, MessageType.getRoute, write, take)
      if (NO_ROUTE.has(-error)) return false
      checkResult(error, ACTION)
      if (type === undefined) throw new SystemError(ACTION, Errno.EINVAL, "the kernel's answer makes no sense")
    } catch (error) {
      if (!(error instanceof SystemError)) throw error
      this.#warnOnce(address, error)
      return true
    }
    return type === RouteType.local || type === RouteType.anycast
  }

  close(): void {
    this.#socket.close()
  }

  #warnOnce(address: Readonly<Address>, error: SystemError): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#warn(
      `${address} counts as an address of the host, as others do of which the kernel doesn't say more: ${error.message}`,
    )
  }
}

/**
 * What RTM_GETROUTE takes to find the route of one address.
 *
 * @param scope index of the interface by which packets leave; 0 for any
 */
function writeRouteQuestion(writer: MessageWriter, address: Readonly<Address>, scope: number): void {
  const bytes = address.toBytes()
  writer.uint8(address.isV4 ? Family.ipv4 : Family.ipv6, bytes.length * 8, 0, 0, 0, 0, 0, 0).uint32(0)
  writer.attributeBytes(RouteAttribute.destination, bytes)
  if (scope !== 0) writer.attributeUint32(RouteAttribute.outputInterface, scope)
}
