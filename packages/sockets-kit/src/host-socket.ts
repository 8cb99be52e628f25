import type { Demiflow, ListenerRef, SideRef, SocketEvents } from "@demiflow/core"
import { NO_SIDE } from "@demiflow/core"

/** The base of all sockets: whose they are, and what is to be reported about them. */
export abstract class HostSocket {
  /** The side that its events are for; none before an accepted connection is watched. */
  side: SideRef = NO_SIDE
  /** The listener that its events are for, unless they are for a side. */
  listener: ListenerRef | undefined
  isOpen = true
  /** True while it waits in the list. */
  isListed = false
  /** Events to be reported, bits of `SocketEvent`. */
  pendingEvents = 0
  /** A positive error number. */
  pendingError = 0
  readonly #events: EventList

  constructor(events: EventList) {
    this.#events = events
  }

  /** Fills in the forwarding end; 0, or a negated error number. */
  abstract boundEnd(demiflow: Demiflow): number

  /** Releases the runtime's socket. */
  protected abstract shut(): void

  /** Takes the pending error: 0, or a negated error number. */
  takeError(): number {
    const error = this.pendingError
    this.pendingError = 0
    return error === 0 ? 0 : -error
  }

  close(): void {
    this.isOpen = false
    this.shut()
  }

  /** Has events reported in the next round. */
  protected report(events: number): void {
    if (!this.isOpen) return
    this.pendingEvents |= events
    this.#events.add(this)
  }
}

/** Sockets with events to be reported. */
export class EventList {
  receiver: SocketEvents | undefined
  readonly #wake: () => void
  #listed: HostSocket[] = []
  #working: HostSocket[] = []

  constructor(wake: () => void) {
    this.#wake = wake
  }

  add(socket: HostSocket): void {
    if (socket.isListed) return
    socket.isListed = true
    this.#listed.push(socket)
    this.#wake()
  }

  /** Reports what has happened since the last call. */
  readonly deliver = (): void => {
    const working = this.#listed
    if (working.length === 0) return
    this.#listed = this.#working
    this.#working = working
    // First all leave the list: if a receiver throws, the others' next events list them again.
    for (const socket of working) socket.isListed = false
    for (const socket of working) {
      const events = socket.pendingEvents
      socket.pendingEvents = 0
      // It may have been closed while an earlier event was handled.
      if (!socket.isOpen || events === 0) continue
      if (socket.listener !== undefined) this.receiver?.fromListener(socket.listener, events)
      else if (socket.side !== NO_SIDE) this.receiver?.fromHost(socket.side, events)
    }
    working.length = 0
  }
}
