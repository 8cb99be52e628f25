/**
 * Checks whether an address belongs to a network namespace itself, by asking the kernel each time. A list would have to
 * follow changes of addresses and routes, and an address can be the host's by a route of the table `local` alone.
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
 * The kernel's errors for an address without a route, or with a route that refuses packets visibly. EINVAL, the error
 * of a route that drops packets silently, isn't among them: it may also mean that the request wasn't understood.
 */
const NO_ROUTE: ReadonlySet<number> = new Set([Errno.ENETUNREACH, Errno.EHOSTUNREACH, Errno.EACCES])

/** Options of {@link HostAddresses}. */
export interface HostAddressesOptions {
  /** This process's own if absent. */
  readonly namespace?: NetworkNamespace
  /** Index of the interface with the link-local IPv6 addresses; any if absent. */
  readonly linkLocalScope?: number | undefined
  /** Receives a sentence, once, if the kernel doesn't report whether an address is the host's own. */
  readonly warn: (message: string) => void
}

/** {@link OwnAddresses} by the kernel's routes. */
export class HostAddresses implements OwnAddresses {
  readonly #socket: NetlinkSocket
  readonly #linkLocalScope: number
  readonly #warn: (message: string) => void
  #hasWarned = false

  /** Opens the socket for requests to the kernel. Throws {@link SystemError}. */
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
      `${address} is taken for an address of the host, like every address about which the kernel gives no answer: ${error.message}`,
    )
  }
}

/**
 * Writes an RTM_GETROUTE request for the route of one address.
 *
 * @param scope index of the interface by which packets leave; 0 for any
 */
function writeRouteQuestion(writer: MessageWriter, address: Readonly<Address>, scope: number): void {
  const bytes = address.toBytes()
  writer.uint8(address.isV4 ? Family.ipv4 : Family.ipv6, bytes.length * 8, 0, 0, 0, 0, 0, 0).uint32(0)
  writer.attributeBytes(RouteAttribute.destination, bytes)
  if (scope !== 0) writer.attributeUint32(RouteAttribute.outputInterface, scope)
}
