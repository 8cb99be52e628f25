/**
 * Ports of the host at which connections to the guest begin, and ports inside the guest's namespace that lead to the host.
 *
 * An event says that somebody waits, and only that: connections are accepted until there are no more, a limited number in a
 * turn, so that a flood of them holds nobody else up. Without a descriptor to spare, or while the guest leaves too many of a port
 * without answer, they are left where they are, in the kernel's queue, for a while.
 */
import {
  Demiflow,
  type DropReason,
  Errno,
  type Host,
  hostAt,
  Interface,
  type Listener,
  type ListenerRef,
  NO_SOCKET,
  type Socket,
} from "@demiflow/core"
import type { Accepted } from "./accepted.ts"
import type { TcpContext } from "./context.ts"
import { Queue } from "./queue.ts"

/** Connections accepted at one port at a time. */
const TURN_BUDGET = 64
/** What the host answers without a descriptor. */
const NO_PLACE = -Errno.EMFILE as Socket
/** How long a port rests after the host refused to hand over a connection, milliseconds. */
const REST = 500
/** Milliseconds between two warnings that descriptors are short. */
const WARNING_INTERVAL = 60_000

interface Port {
  readonly listener: Listener
  /** Whose the port is. */
  readonly host: Host
  /** When it goes on by itself, clock milliseconds; -1 if it waits for an event. */
  continuesAt: number
}

export class Listening {
  readonly #context: TcpContext
  readonly #accepted: Accepted
  readonly #ports = new Map<ListenerRef, Port>()
  readonly #initiating = new Demiflow(Interface.host)
  readonly #noDescriptor: DropReason
  readonly #tooMany: DropReason
  /** Ports that go on by themselves, in the order in which they are asked. */
  readonly #continuing = new Queue<Port>()
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(context: TcpContext, accepted: Accepted) {
    this.#context = context
    this.#accepted = accepted
    this.#tooMany = context.components.drops.reason("tcp: too many half-open connections")
    this.#noDescriptor = context.components.drops.reason("tcp: no descriptor to accept with")
  }

  /** See `ProtocolHandler.listen`. */
  listen(listener: Listener): number {
    const host = hostAt(this.#context.components, listener.interface)
    if (host === undefined) return -Errno.EPROTONOSUPPORT
    const socket = host.tcpListen(listener.ref, listener.end)
    if (socket < 0) return socket
    listener.socket = socket
    this.#ports.set(listener.ref, { listener, host, continuesAt: -1 })
    return 0
  }

  /** See `ProtocolHandler.unlisten`. */
  unlisten(listener: Listener): void {
    const port = this.#ports.get(listener.ref)
    if (port === undefined) return
    port.continuesAt = -1
    this.#ports.delete(listener.ref)
    port.host.close(listener.socket)
    listener.socket = NO_SOCKET
  }

  /** Somebody waits at the port. */
  fromListener(listener: Listener): void {
    const port = this.#ports.get(listener.ref)
    // One that rests, or was stopped in this turn by its budget, goes on when its time comes.
    if (port !== undefined && port.continuesAt < 0) this.#accept(port)
  }

  /** Goes on with ports whose time has come. */
  tick(): void {
    const ports = this.#continuing
    if (ports.count === 0) return
    // Another one is the first each time: what all of them may do in a turn is limited.
    const first = ports.shift()
    if (first !== undefined) ports.push(first)
    for (let count = ports.count; count > 0; count--) {
      const port = ports.shift()
      // One that has been closed meanwhile.
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
        // Without a descriptor, nobody hears that nobody waits.
        if (socket !== result || port.host.connectionsWaiting(listener.socket) !== 0) this.#rest(port, -result)
        return
      }
    }
    this.#continueAt(port, this.#context.now)
  }

  #take({ listener, host }: Port): Socket {
    const socket = this.#accepted.isFull(listener) ? NO_PLACE : host.tcpAccept(listener.socket, this.#initiating)
    if (socket !== NO_PLACE || host.connectionsWaiting(listener.socket) <= 0) return socket
    if (!this.#accepted.giveWay(listener)) return socket
    return host.tcpAccept(listener.socket, this.#initiating)
  }

  #rest(port: Port, errno: number): void {
    const { components, now } = this.#context
    // Others have used up what may give way in this turn.
    this.#continueAt(port, this.#accepted.hasGivenWay ? now : now + REST)
    if (this.#accepted.isFull(port.listener)) {
      components.drops.count(this.#tooMany)
      return
    }
    if (errno !== Errno.EMFILE && errno !== Errno.ENFILE) return
    components.drops.count(this.#noDescriptor)
    if (now - this.#warnedAt < WARNING_INTERVAL) return
    this.#warnedAt = now
    components.log.warning(
      `Connections to port ${port.listener.end.port} wait: too many files are open. Raise the limit (ulimit -n) if that stays so`,
    )
  }

  #continueAt(port: Port, time: number): void {
    port.continuesAt = time
    this.#continuing.push(port)
    this.#context.wake(time)
  }
}
