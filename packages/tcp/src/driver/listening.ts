/**
 * Ports of the host at which connections to the guest begin, and ports inside the guest's namespace that lead to the
 * host.
 *
 * An event only says that a connection waits. Connections are accepted until there are no more, a limited number in a
 * turn, so that a flood of them delays nobody else. Without a free descriptor, or while the guest leaves too many
 * connections to a port unanswered, they stay in the kernel's queue for a while.
 */
import {
  Demiflow,
  type DropReason,
  Errno,
  Interface,
  type Listener,
  type ListenerRef,
  NO_SOCKET,
  type Socket,
  type Sockets,
  socketsAt,
} from "@demiflow/core"
import { Queue, ShortageWarning } from "@demiflow/protocol-kit"
import type { Accepted } from "./accepted.ts"
import type { TcpContext } from "./context.ts"

/** Connections accepted at one port at a time. */
const TURN_BUDGET = 64
/** The result of an accept without a free descriptor. */
const NO_PLACE = -Errno.EMFILE as Socket
/** How long a port pauses after the host failed to hand over a connection, milliseconds. */
const REST = 500

interface Port {
  readonly listener: Listener
  /** The sockets that the port belongs to: the host's or the namespace's. */
  readonly sockets: Sockets
  /** When the port continues by itself, clock milliseconds; -1 if it waits for an event. */
  continuesAt: number
}

export class Listening {
  readonly #context: TcpContext
  readonly #accepted: Accepted
  readonly #ports = new Map<ListenerRef, Port>()
  readonly #initiating = new Demiflow(Interface.host)
  readonly #noDescriptor: DropReason
  readonly #tooMany: DropReason
  /**
   * Ports that continue by themselves, in the order in which they are polled. Not a `WaitingList`, as each has a time
   * of its own, and another one comes first in each turn.
   */
  readonly #continuing = new Queue<Port>()
  readonly #shortage: ShortageWarning

  constructor(context: TcpContext, accepted: Accepted) {
    this.#context = context
    this.#accepted = accepted
    this.#shortage = new ShortageWarning(context.components, "tcp")
    this.#tooMany = context.components.drops.reason("tcp: too many half-open connections")
    this.#noDescriptor = context.components.drops.reason("tcp: no descriptor to accept with")
  }

  /** See `ProtocolHandler.listen`. */
  listen(listener: Listener): number {
    const sockets = socketsAt(this.#context.components, listener.interface)
    if (sockets === undefined) return -Errno.EPROTONOSUPPORT
    const socket = sockets.tcpListen(listener.ref, listener.end)
    if (socket < 0) return socket
    listener.socket = socket
    this.#ports.set(listener.ref, { listener, sockets, continuesAt: -1 })
    return 0
  }

  /** See `ProtocolHandler.unlisten`. */
  unlisten(listener: Listener): void {
    const port = this.#ports.get(listener.ref)
    if (port === undefined) return
    port.continuesAt = -1
    this.#ports.delete(listener.ref)
    port.sockets.close(listener.socket)
    listener.socket = NO_SOCKET
  }

  /** Accepts connections that wait at the port. */
  fromListener(listener: Listener): void {
    const port = this.#ports.get(listener.ref)
    // A port that pauses, or has used up its budget in this turn, continues at its own time.
    if (port !== undefined && port.continuesAt < 0) this.#accept(port)
  }

  /** Continues with the ports whose time has come. */
  tick(): void {
    const ports = this.#continuing
    if (ports.count === 0) return
    // Each time, another port is the first: together they may only do a limited amount in a turn.
    const first = ports.shift()
    if (first !== undefined) ports.push(first)
    for (let count = ports.count; count > 0; count--) {
      const port = ports.shift()
      // The port may have been closed meanwhile.
      if (port === undefined || port.continuesAt < 0) continue
      if (port.continuesAt > this.#context.now) this.#continueAt(port, port.continuesAt)
      else this.#accept(port)
    }
  }

  #accept(port: Port): void {
    const { listener } = port
    const initiating = this.#initiating
    initiating.interface = listener.interface
    port.continuesAt = -1
    for (let budget = TURN_BUDGET; budget > 0; budget--) {
      const socket = this.#take(port)
      if (socket === -Errno.EAGAIN) return
      if (socket === -Errno.ECONNABORTED || socket === -Errno.EINTR) continue
      const result = socket < 0 ? socket : this.#accepted.open(listener, socket, initiating)
      if (result < 0) {
        // Without a descriptor, accept() doesn't report an empty queue.
        if (socket !== result || port.sockets.connectionsWaiting(listener.socket) !== 0) this.#rest(port, -result)
        return
      }
    }
    this.#continueAt(port, this.#context.now)
  }

  #take({ listener, sockets }: Port): Socket {
    const socket = this.#accepted.isFull(listener) ? NO_PLACE : sockets.tcpAccept(listener.socket, this.#initiating)
    if (socket !== NO_PLACE || sockets.connectionsWaiting(listener.socket) <= 0) return socket
    if (!this.#accepted.giveWay(listener)) return socket
    return sockets.tcpAccept(listener.socket, this.#initiating)
  }

  #rest(port: Port, errno: number): void {
    const { components, now } = this.#context
    // Other ports have used up the connections that may give way in this turn.
    this.#continueAt(port, this.#accepted.hasGivenWay ? now : now + REST)
    if (this.#accepted.isFull(port.listener)) {
      components.drops.count(this.#tooMany)
      return
    }
    if (errno !== Errno.EMFILE && errno !== Errno.ENFILE) return
    components.drops.count(this.#noDescriptor)
    this.#shortage.warn(`connections to port ${port.listener.end.port} wait, as too many files are open`)
  }

  #continueAt(port: Port, time: number): void {
    port.continuesAt = time
    this.#continuing.push(port)
    this.#context.wake(time)
  }
}
