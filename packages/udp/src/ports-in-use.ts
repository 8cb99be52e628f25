import { type Components, type FlowIndex, flowOf } from "@demiflow/core"
import { GuestPorts } from "./guest-ports.ts"
import { ListeningPorts } from "./listening-ports.ts"
import { GuestPort, type Port, type Rider } from "./ports.ts"

/** All ports that sockets of ours are bound to. */
export class PortsInUse {
  readonly listening: ListeningPorts
  readonly guest: GuestPorts

  constructor({ flows, host }: Components) {
    this.listening = new ListeningPorts(flows)
    this.guest = new GuestPorts(flows, host)
  }

  /** A flow shares the port's socket no more: a port of the guest's is closed with its last flow. */
  leave(port: Port, rider: Rider): void {
    port.leave(rider)
    if (port instanceof GuestPort && !port.isInUse) this.guest.remove(port)
  }

  /**
   * Ends what keeps a port of the host from being listened at: flows of the guest's that have it, which begin again there with
   * the next datagram. True if there were any.
   */
  free(number: number, endFlow: (flow: FlowIndex) => void): boolean {
    const holders = [...this.guest.open].filter((port) => port.number === number)
    for (const port of holders) this.endFlows(port, endFlow)
    return holders.length > 0
  }

  /** Ends all flows of a port. */
  endFlows(port: Port, endFlow: (flow: FlowIndex) => void): void {
    for (let rider = port.newest; rider !== undefined; rider = port.newest) endFlow(flowOf(rider.portSide))
  }
}
