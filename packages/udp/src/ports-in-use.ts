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
import type { ListeningPort } from "./listening-port.ts"
import { ListeningPorts } from "./listening-ports.ts"

/** All ports that sockets of ours are bound to. */
export class PortsInUse {
  readonly listening: ListeningPorts
  readonly guest: GuestPorts
  readonly #flows: Components["flows"]
  readonly #clock: Components["clock"]
  readonly #endFlow: (flow: FlowIndex) => void

  /** @param endFlow ends a flow of a port that is closed */
  constructor(components: Components, endFlow: (flow: FlowIndex) => void) {
    this.#flows = components.flows
    this.#clock = components.clock
    this.#endFlow = endFlow
    this.listening = new ListeningPorts(components.flows)
    this.guest = new GuestPorts(components, IpProtocol.udp)
  }

  /** A flow shares the port's socket no more: a port of the guest's is closed with its last flow. */
  leave(port: SharedPort, rider: Rider): void {
    if (port instanceof GuestPort) {
      this.guest.leave(port, rider)
      if (!port.isInUse) port.list?.remove(port)
    } else port.leave(rider)
    const { newest } = port
    if (newest !== undefined && port.socket < 0) this.#flows.schedule(flowOf(newest.portSide), this.#clock.now)
  }

  /**
   * Closes a port at once. Its flows end one after the other, as many in a turn as others whose time is over: there may be as many
   * as the flow table holds.
   */
  retire(port: GuestPort | ListeningPort): void {
    if (port instanceof GuestPort) {
      this.guest.retire(port)
      port.list?.remove(port)
    } else this.listening.remove(port)
    if (port.newest !== undefined) this.#endFlow(flowOf(port.newest.portSide))
  }
}
