import { type Components, type FlowIndex, flowOf, IpProtocol } from "@demiflow/core"
import { GuestPort, GuestPorts, type Rider, type SharedPort } from "@demiflow/protocol-kit"
import type { ListeningPort } from "./listening-port.ts"
import { ListeningPorts } from "./listening-ports.ts"

/** All ports that our sockets are bound to. */
export class PortsInUse {
  readonly listening: ListeningPorts
  readonly guest: GuestPorts
  readonly #flows: Components["flows"]
  readonly #clock: Components["clock"]
  readonly #leaveClosed: (flow: FlowIndex) => void

  /** @param leaveClosed makes a flow leave a port that was closed: for another port, or because the flow ends */
  constructor(components: Components, leaveClosed: (flow: FlowIndex) => void) {
    this.#flows = components.flows
    this.#clock = components.clock
    this.#leaveClosed = leaveClosed
    this.listening = new ListeningPorts(components.flows)
    this.guest = new GuestPorts(components, IpProtocol.udp)
  }

  /** Removes a flow from a port whose socket it shared. A guest's port is closed with its last flow. */
  leave(port: SharedPort, rider: Rider): void {
    if (port instanceof GuestPort) {
      this.guest.leave(port, rider)
      if (!port.isInUse) port.list?.remove(port)
    } else port.leave(rider)
    const { newest } = port
    if (newest !== undefined && port.socket < 0) this.#flows.schedule(flowOf(newest.portSide), this.#clock.now)
  }

  /**
   * Closes a port at once. Its flows leave it one after the other, at the rate at which expired flows end: there may be
   * as many as the flow table holds.
   */
  retire(port: GuestPort | ListeningPort): void {
    if (port instanceof GuestPort) {
      this.guest.retire(port)
      port.list?.remove(port)
    } else this.listening.remove(port)
    if (port.newest !== undefined) this.#leaveClosed(flowOf(port.newest.portSide))
  }
}
