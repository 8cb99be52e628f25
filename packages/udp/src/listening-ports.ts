import { type Demiflow, type Host, Interface, type Listener, type ListenerRef, type Socket } from "@demiflow/core"
import type { WaitingSource } from "./waiting-sources.ts"

/** A port at which datagrams for the other end arrive, from anybody: of the host, or inside the namespace. */
export class ListeningPort implements WaitingSource {
  readonly listener: Listener
  /** Whose its socket is. */
  readonly host: Host
  isWaiting = false

  constructor(listener: Listener, host: Host) {
    this.listener = listener
    this.host = host
  }

  /** What arrives on the host may be for the guest's link; what arrives in the namespace never is. */
  get needsGuest(): boolean {
    return this.listener.interface === Interface.host
  }

  /** Negative once it is closed. */
  get socket(): Socket {
    return this.listener.socket
  }
}

/** The ports at which UDP listens. */
export class ListeningPorts {
  readonly #byRef = new Map<ListenerRef, ListeningPort>()
  /** By port number: there may be several, at different addresses. */
  readonly #byPort = new Map<number, ListeningPort[]>()

  /** @param host whose socket it has */
  add(listener: Listener, host: Host): void {
    const port = new ListeningPort(listener, host)
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
   * The listener of the host that leads to where a flow of the guest's begins, at the port of the host that the flow is to have.
   *
   * @param tap the flow's initiating side
   * @param host its side on the host, as wanted
   */
  leadingTo(tap: Demiflow, host: Demiflow): ListeningPort | undefined {
    const ports = this.#byPort.get(host.forwardingPort)
    if (ports === undefined) return undefined
    for (let index = 0; index < ports.length; index++) {
      const { interface: place, end, targetAddress, targetPort } = ports[index].listener
      if (place !== Interface.host) continue
      if (targetPort !== tap.correspondentPort) continue
      if (targetAddress !== undefined && !tap.correspondentAddress.equals(targetAddress)) continue
      if (end.address === undefined || end.address.isV4 === host.isV4) return ports[index]
    }
    return undefined
  }
}
