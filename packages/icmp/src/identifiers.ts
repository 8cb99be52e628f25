import {
  type Components,
  type Demiflow,
  FAIR_TIME,
  type FlowIndex,
  flowOf,
  GuestPort,
  GuestPorts,
  IpProtocol,
  isShortage,
  type SideRef,
  type Socket,
  type SocketHolder,
  UseList,
} from "@demiflow/core"
import type { EchoFlow, EchoFlows } from "./state.ts"

/**
 * The identifiers that the guest's echo flows have on the host: one ping socket for each identifier of each address of the
 * guest's, with all of its correspondents (RFC 5508, REQ-1 (a)).
 */
export class Identifiers {
  readonly #flows: Components["flows"]
  readonly #clock: Components["clock"]
  readonly #relieve: () => boolean
  readonly #endFlow: (flow: FlowIndex) => void
  readonly #states: EchoFlows
  readonly #v4: GuestPorts
  readonly #v6: GuestPorts
  /** In the order of their last requests. */
  readonly #byUse = new UseList<SocketHolder>()

  /** @param endFlow ends a flow of an identifier that is closed */
  constructor(components: Components, states: EchoFlows, endFlow: (flow: FlowIndex) => void) {
    const options = {
      bind: (host: Components["host"], side: SideRef, demiflow: Demiflow) => host.pingBind(side, demiflow),
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

  /** As core's `GuestPorts.share`; other flows give way where sockets are scarce. */
  share(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    const ports = this.#of(target.isV4)
    const wanted = target.forwardingPort
    const port = ports.share(side, tap, target)
    if (typeof port !== "number" || !isShortage(-port) || !this.#relieve()) return port
    target.forwardingPort = wanted
    return ports.share(side, tap, target)
  }

  /** Notes a request under an identifier. */
  used(port: GuestPort, now: number): void {
    port.lastActivity = now
    this.#byUse.add(port)
  }

  /** A flow has ended. */
  leave(port: GuestPort, flow: EchoFlow): void {
    this.#of(port.address.isV4).leave(port, flow)
    if (!port.isInUse) this.#byUse.remove(port)
    const { newest } = port
    if (newest !== undefined && port.socket < 0) this.#flows.schedule(flowOf(newest.portSide), this.#clock.now)
  }

  /**
   * Closes the socket of the identifier under which no request has come for the longest time, if there has been none since
   * `before`, clock milliseconds. Its flows end one after the other, as many in a turn as others whose time is over.
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
