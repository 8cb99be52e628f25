import {
  type Components,
  type Demiflow,
  flowOf,
  type GuestPort,
  GuestPorts,
  IpProtocol,
  isShortage,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import type { EchoFlow, EchoFlows } from "./state.ts"

/**
 * The identifiers that the guest's echo flows have on the host: one ping socket for each identifier of each address of the
 * guest's, with all of its correspondents (RFC 5508, REQ-1 (a)).
 */
export class Identifiers {
  readonly #flows: Components["flows"]
  readonly #relieve: () => boolean
  readonly #states: EchoFlows
  readonly #v4: GuestPorts
  readonly #v6: GuestPorts

  constructor(components: Components, states: EchoFlows, relieve: () => boolean) {
    const options = {
      bind: (host: Components["host"], side: SideRef, demiflow: Demiflow) => host.pingBind(side, demiflow),
      isPerAddress: true,
    }
    this.#flows = components.flows
    this.#relieve = relieve
    this.#states = states
    this.#v4 = new GuestPorts(components, IpProtocol.icmp, options)
    this.#v6 = new GuestPorts(components, IpProtocol.icmpv6, options)
  }

  /** As core's `GuestPorts.share`; other flows give way where sockets are scarce. */
  share(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    const ports = this.#of(target.isV4)
    const wanted = target.forwardingPort
    const port = ports.share(side, tap, target)
    if (typeof port !== "number" || !isShortage(-port) || !this.#relieve()) return port
    target.forwardingPort = wanted
    return ports.share(side, tap, target)
  }

  /** A flow has ended. */
  leave(port: GuestPort, flow: EchoFlow): void {
    this.#of(port.address.isV4).leave(port, flow)
  }

  /**
   * The flow with a correspondent, which has sent something to the identifier, or was sent something from there.
   *
   * @param ends with the correspondent's address; the rest is filled in
   */
  flowWith(port: GuestPort, ends: Demiflow): EchoFlow | undefined {
    port.complete(ends)
    // There are no ports: the flow table has the guest's identifier there.
    ends.correspondentPort = port.guestPort
    const protocol = port.address.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
    const side = this.#flows.lookup(protocol, ends)
    return side < 0 ? undefined : this.#states.get(flowOf(side))
  }

  #of(isV4: boolean): GuestPorts {
    return isV4 ? this.#v4 : this.#v6
  }
}
