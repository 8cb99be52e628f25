import { type Components, type FlowIndex, flowOf, Interface, type InterfaceId } from "@demiflow/core"
import { GuestPorts } from "./guest-ports.ts"
import { ListeningPorts } from "./listening-ports.ts"
import { GuestPort, ListeningPort, type Port, type Rider } from "./ports.ts"

/** All ports that sockets of ours are bound to. */
export class PortsInUse {
  readonly listening: ListeningPorts
  readonly guest: GuestPorts

  constructor({ flows, host }: Components) {
    this.listening = new ListeningPorts(flows)
    this.guest = new GuestPorts(flows, host)
  }

  /** A flow shares the port's socket no more: the port is closed if nothing needs it. */
  leave(port: Port, rider: Rider): void {
    port.leave(rider)
    if (port.isInUse) return
    if (port instanceof GuestPort) this.guest.remove(port)
    else if (port instanceof ListeningPort && port.isClosed) this.listening.drop(port)
  }

  /**
   * Ends what keeps a port from being listened at: flows that have it, which begin again there with the next datagram. True if
   * there were any.
   */
  free(place: InterfaceId, number: number, endFlow: (flow: FlowIndex) => void): boolean {
    const holders = [...this.#holding(place)].filter((port) => port.number === number)
    for (const port of holders) this.endFlows(port, endFlow)
    return holders.length > 0
  }

  /** Ends all flows of a port, which closes it if nobody listens there. */
  endFlows(port: Port, endFlow: (flow: FlowIndex) => void): void {
    for (let rider = port.newest; rider !== undefined; rider = port.newest) endFlow(flowOf(rider.portSide))
  }

  /** Numbers of ports that flows have, and nobody listens at. */
  *numbers(place: InterfaceId): Iterable<number> {
    for (const port of this.#holding(place)) yield port.number
  }

  *#holding(place: InterfaceId): Iterable<Port> {
    if (place === Interface.host) yield* this.guest.open
    for (const port of this.listening.retired) if (port.interface === place) yield port
  }
}
