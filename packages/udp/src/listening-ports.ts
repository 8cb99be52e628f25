import type { Demiflow, Listener, ListenerRef, Socket, Waiting } from "@demiflow/core"

/** A port of the host at which datagrams for the guest arrive, from anybody. */
export class ListeningPort implements Waiting {
  readonly listener: Listener
  isWaiting = false

  constructor(listener: Listener) {
    this.listener = listener
  }

  /** Negative once it is closed. */
  get socket(): Socket {
    return this.listener.socket
  }
}

/** The ports at which UDP listens. */
export class ListeningPorts {
  readonly #byRef = new Map<ListenerRef, ListeningPort>()
  /** By port number on the host: there may be several, at different addresses. */
  readonly #byPort = new Map<number, ListeningPort[]>()

  add(listener: Listener): void {
    const port = new ListeningPort(listener)
    this.#byRef.set(listener.ref, port)
    const others = this.#byPort.get(listener.end.port)
    if (others === undefined) this.#byPort.set(listener.end.port, [port])
    else others.push(port)
  }

  remove(listener: Listener): void {
    const port = this.#byRef.get(listener.ref)
    this.#byRef.delete(listener.ref)
    const left = this.#byPort.get(listener.end.port)?.filter((other) => other !== port) ?? []
    if (left.length > 0) this.#byPort.set(listener.end.port, left)
    else this.#byPort.delete(listener.end.port)
  }

  get(ref: ListenerRef): ListeningPort | undefined {
    return this.#byRef.get(ref)
  }

  /**
   * The listener that leads to where a flow of the guest's begins, at the port of the host that the flow is to have.
   *
   * @param tap the flow's initiating side
   * @param host its side on the host, as wanted
   */
  leadingTo(tap: Demiflow, host: Demiflow): ListeningPort | undefined {
    const ports = this.#byPort.get(host.forwardingPort)
    if (ports === undefined) return undefined
    for (let index = 0; index < ports.length; index++) {
      const { end, targetAddress, targetPort } = ports[index].listener
      if (targetPort !== tap.correspondentPort) continue
      if (targetAddress !== undefined && !tap.correspondentAddress.equals(targetAddress)) continue
      if (end.address === undefined || end.address.isV4 === host.isV4) return ports[index]
    }
    return undefined
  }
}
