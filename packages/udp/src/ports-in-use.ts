import {
  type Components,
  type FlowIndex,
  flowOf,
  GuestPort,
  GuestPorts,
  IpProtocol,
  type Rider,
  type SharedPort,
} from "@demiflow/core"
import { ListeningPorts } from "./listening-ports.ts"

/** All ports that sockets of ours are bound to. */
export class PortsInUse {
  readonly listening: ListeningPorts
  readonly guest: GuestPorts

  constructor(components: Components) {
    this.listening = new ListeningPorts(components.flows)
    this.guest = new GuestPorts(components, IpProtocol.udp)
  }

  /** A flow shares the port's socket no more: a port of the guest's is closed with its last flow. */
  leave(port: SharedPort, rider: Rider): void {
    if (!(port instanceof GuestPort)) {
      port.leave(rider)
      return
    }
    this.guest.leave(port, rider)
    if (!port.isInUse) port.list?.remove(port)
  }

  /** Ends all flows of a port. */
  endFlows(port: SharedPort, endFlow: (flow: FlowIndex) => void): void {
    for (let rider = port.newest; rider !== undefined; rider = port.newest) endFlow(flowOf(rider.portSide))
  }
}
