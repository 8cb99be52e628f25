import {
  type Components,
  type Demiflow,
  type FlowIndex,
  flowOf,
  IpProtocol,
  isShortage,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import { FAIR_TIME, GuestPort, GuestPorts, type SocketHolder, UseList } from "@demiflow/protocol-kit"
import type { EchoFlow, EchoFlows } from "./state.ts"

/**
 * The identifiers of the guest's echo flows on the host. There is one ping socket for each identifier of each guest
 * address, for all of its correspondents (RFC 5508, REQ-1 (a)).
 */
export class Identifiers {
  readonly #flows: Components["flows"]
  readonly #clock: Components["clock"]
  readonly #relieve: () => boolean
  readonly #endFlow: (flow: FlowIndex) => void
  readonly #states: EchoFlows
  readonly #v4: GuestPorts
  readonly #v6: GuestPorts
  /** Identifiers, in the order of their last requests. */
  readonly #byUse = new UseList<SocketHolder>()

  /** @param endFlow ends a flow whose identifier is closed */
  constructor(components: Components, states: EchoFlows, endFlow: (flow: FlowIndex) => void) {
    const options = {
      bind: (sockets: Components["sockets"], side: SideRef, demiflow: Demiflow) => sockets.pingBind(side, demiflow),
      isPerAddress: true,
    }
    this.#flows = components.flows
    this.#clock = components.clock
    this.#relieve = () => {
      const { now } = components.clock
      return this.giveWay(now - FAIR_TIME) || components.relieve() || this.giveWay(now)
    }
    this.#endFlow = endFlow
    this.#states = states
    this.#v4 = new GuestPorts(components, IpProtocol.icmp, options)
    this.#v6 = new GuestPorts(components, IpProtocol.icmpv6, options)
  }

  /** As `GuestPorts.share`. Where sockets are scarce, other flows give way. */
  share(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    const ports = this.#of(target.isV4)
    const wanted = target.forwardingPort
    const port = ports.share(side, tap, target)
    if (typeof port !== "number" || !isShortage(-port) || !this.#relieve()) return port
    target.forwardingPort = wanted
    return ports.share(side, tap, target)
  }

  /** Records a request under an identifier. */
  used(port: GuestPort, now: number): void {
    port.lastActivity = now
    this.#byUse.add(port)
  }

  /** Removes a flow that has ended from its identifier. */
  leave(port: GuestPort, flow: EchoFlow): void {
    this.#of(port.address.isV4).leave(port, flow)
    if (!port.isInUse) this.#byUse.remove(port)
    const { newest } = port
    if (newest !== undefined && port.socket < 0) this.#flows.schedule(flowOf(newest.portSide), this.#clock.now)
  }

  /**
   * Closes the socket of the identifier whose last request is the oldest, if that came at or before `before`, clock
   * milliseconds. Its flows end one after the other, at the rate at which expired flows end.
   */
  giveWay(before: number): boolean {
    const port = this.#byUse.oldest
    if (!(port instanceof GuestPort) || port.lastActivity > before) return false
    this.#byUse.remove(port)
    this.#of(port.address.isV4).retire(port)
    if (port.newest !== undefined) this.#endFlow(flowOf(port.newest.portSide))
    return true
  }

  /**
   * Finds the flow with a correspondent: one that sent something to the identifier, or that a request went to.
   *
   * @param ends with the correspondent's address; the rest is filled in
   */
  // RFC 5508 REQ-1 MUST: an identifier of the guest is the same on the host for every correspondent
  flowWith(port: GuestPort, ends: Demiflow): EchoFlow | undefined {
    port.complete(ends)
    // There are no ports: the flow table has the guest's identifier in their place.
    ends.correspondentPort = port.guestPort
    const protocol = port.address.isV4 ? IpProtocol.icmp : IpProtocol.icmpv6
    const side = this.#flows.lookup(protocol, ends)
    return side < 0 ? undefined : this.#states.get(flowOf(side))
  }

  #of(isV4: boolean): GuestPorts {
    return isV4 ? this.#v4 : this.#v6
  }
}
