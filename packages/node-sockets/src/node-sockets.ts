/** `Sockets` of `@demiflow/core`: opens the sockets; the kit finds the one that a call names. */
import {
  type Address,
  type Arena,
  type Demiflow,
  Errno,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  type SocketsCapabilities,
} from "@demiflow/core"
import { EBADF, KitSockets } from "@demiflow/sockets-kit"
import { NODE_CAPABILITIES } from "./capabilities.ts"
import { Lingering } from "./lingering.ts"
import { areConflicting, checkListeningEnd } from "./listening-ends.ts"
import { bindError } from "./node-datagrams.ts"
import type { NodeLoop } from "./node-loop.ts"
import { TcpConnection } from "./tcp-connection.ts"
import { TcpListener } from "./tcp-listener.ts"
import { UdpSocket } from "./udp-socket.ts"
import { Zones } from "./zones.ts"

/** Options of {@link NodeSockets}. */
export interface NodeSocketsOptions {
  /** Sockets that may be open at once; no limit if not given. Protocols keep to shares of it. */
  readonly mostSockets?: number
  /**
   * Called when it turns out that a socket can't listen where `tcpListen` was asked to, with a positive error number:
   * `Errno.EADDRINUSE`, for example.
   */
  readonly onListenError?: (end: ListeningEnd, errno: number) => void
  /**
   * Name of the interface of link-local IPv6 correspondents. If absent, the only interface with such an address; with
   * several, these correspondents are reached only where a datagram has come from.
   */
  readonly linkLocalInterface?: string
  /** A link-local IPv6 address on an interface of its own, and the name of that. */
  readonly zonedAddress?: { readonly address: Address; readonly zone: string }
}

/** Sockets of the host, by `node:net` and `node:dgram`. Their events come from the loop. */
export class NodeSockets extends KitSockets {
  override readonly capabilities: SocketsCapabilities = NODE_CAPABILITIES
  readonly #onListenError: NodeSocketsOptions["onListenError"]
  readonly #lingering = new Lingering()
  readonly #zones: Zones

  constructor(arena: Arena, loop: NodeLoop, options: NodeSocketsOptions = {}) {
    super(arena, loop, options.mostSockets)
    this.#onListenError = options.onListenError
    this.#zones = new Zones(options.linkLocalInterface, options.zonedAddress)
  }

  override tcpConnect(side: SideRef, demiflow: Demiflow): Socket {
    if (this.isFull) return -Errno.EMFILE as Socket
    const connection = TcpConnection.connect(this.events, this.#lingering, this.#zones, demiflow)
    connection.side = side
    return this.addStream(connection)
  }

  override tcpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    let error = this.isFull ? -Errno.EMFILE : checkListeningEnd(end)
    const zone = end.address === undefined ? undefined : this.#zones.ofOwn(end.address)
    // A server of Node.js hears later whether the system has the address.
    if (error === 0 && end.address !== undefined) error = bindError(end.address, zone)
    if (error < 0) return error as Socket
    for (const other of this.table) {
      if (other instanceof TcpListener && areConflicting(other.end, end)) return -Errno.EADDRINUSE as Socket
    }
    const onError = (errno: number) => this.#onListenError?.(end, errno)
    return this.table.add(new TcpListener(this.events, listener, end, zone, onError))
  }

  override tcpAccept(listening: Socket, demiflow: Demiflow): Socket {
    const listener = this.table.get(listening)
    if (!(listener instanceof TcpListener)) return -EBADF as Socket
    if (this.isFull) return -Errno.EMFILE as Socket
    const accepted = listener.accept(this.events, this.#lingering, demiflow)
    return typeof accepted === "number" ? (accepted as Socket) : this.addStream(accepted)
  }

  override connectionsWaiting(listening: Socket): number {
    const listener = this.table.get(listening)
    return listener instanceof TcpListener ? listener.waiting : -EBADF
  }

  override udpOpen(side: SideRef, demiflow: Demiflow): Socket {
    return this.addDatagrams(() => UdpSocket.connected(this.events, this.#zones, side, demiflow))
  }

  override udpBind(side: SideRef, demiflow: Demiflow): Socket {
    return this.addDatagrams(() => UdpSocket.bound(this.events, this.#zones, side, demiflow))
  }

  override udpListen(listener: ListenerRef, end: ListeningEnd): Socket {
    const error = checkListeningEnd(end)
    if (error < 0) return error as Socket
    return this.addDatagrams(() => UdpSocket.listening(this.events, this.#zones, listener, end))
  }
}
