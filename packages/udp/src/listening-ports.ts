import { type Address, Demiflow, type FlowTable, flowOf, Interface, IpProtocol, type ListenerRef } from "@demiflow/core"
import type { ListeningPort } from "./listening-port.ts"
import type { UdpFlow, UdpFlows } from "./state.ts"

/** The ports at which UDP listens. */
export class ListeningPorts {
  readonly #flows: FlowTable
  readonly #byRef = new Map<ListenerRef, ListeningPort>()
  /** Ports of the host by number: there may be several, at different addresses. */
  readonly #byNumber = new Map<number, ListeningPort[]>()
  /** Ports of the host, by the guest's port that they lead to. */
  readonly #byTarget = new Map<number, ListeningPort[]>()
  readonly #probe = new Demiflow()

  constructor(flows: FlowTable) {
    this.#flows = flows
  }

  add(port: ListeningPort): void {
    this.#byRef.set(port.listener.ref, port)
    if (port.interface !== Interface.host) return
    addTo(this.#byNumber, port.number, port)
    addTo(this.#byTarget, port.listener.targetPort, port)
  }

  /** Closes a port. No further flow shares it. */
  remove(port: ListeningPort): void {
    this.#byRef.delete(port.listener.ref)
    removeFrom(this.#byNumber, port.number, port)
    removeFrom(this.#byTarget, port.listener.targetPort, port)
    port.close()
  }

  get(ref: ListenerRef): ListeningPort | undefined {
    return this.#byRef.get(ref)
  }

  /**
   * Returns the flow that a datagram of the guest answers, where the guest answers from another of its addresses than
   * the one that was asked: a program that listens at all of them leaves the choice to its kernel.
   *
   * @param tap the side that the datagram came on, which no flow has
   * @param states the flows between host and tap
   */
  askedBy(tap: Demiflow, states: UdpFlows): UdpFlow | undefined {
    const ports = this.#byTarget.get(tap.correspondentPort)
    if (ports === undefined) return undefined
    const probe = this.#probe.copyFrom(tap)
    for (const port of ports) {
      for (const address of port.guestAddresses) {
        if (address.isV4 !== tap.isV4) continue
        probe.correspondentAddress.copyFrom(address)
        const side = this.#flows.lookup(IpProtocol.udp, probe)
        const flow = side < 0 ? undefined : states.get(flowOf(side))
        // A flow that the other address has begun itself is no question.
        if (flow?.port === port && flow.beganOnHost) return flow
      }
    }
    return undefined
  }

  /**
   * Returns the listening port of the host by which a flow of the guest can leave: one that has the port number that
   * the flow wants, leads to where the flow begins, and reaches where the flow goes.
   *
   * @param tap the flow's initiating side
   * @param host the flow's side on the host, as wanted
   */
  leadingTo(tap: Demiflow, host: Demiflow): ListeningPort | undefined {
    const ports = this.#byNumber.get(host.forwardingPort)
    if (ports === undefined) return undefined
    for (const port of ports) {
      const { targetAddress, targetPort } = port.listener
      if (targetPort !== tap.correspondentPort) continue
      if (targetAddress !== undefined && !tap.correspondentAddress.equals(targetAddress)) continue
      if (port.sendsAs(host) && !this.#isInTouch(port, host)) return port
    }
    return undefined
  }

  /** True if a listening port has the number at all addresses of one version of IP. */
  holdWhole(number: number, isV4: boolean): boolean {
    return this.#byNumber.get(number)?.some(({ listener }) => isWhole(listener.end.address, isV4)) ?? false
  }

  /**
   * True if a flow that began at the port, under another name, has the correspondent: it would get all its datagrams.
   */
  #isInTouch(port: ListeningPort, host: Demiflow): boolean {
    if (this.#flows.lookup(IpProtocol.udp, host) >= 0) return true
    const probe = this.#probe.copyFrom(host)
    for (const own of port.ownAddresses) {
      if (own.isV4 !== host.isV4) continue
      probe.forwardingAddress.copyFrom(own)
      if (this.#flows.lookup(IpProtocol.udp, probe) >= 0) return true
    }
    return false
  }
}

function isWhole(address: Readonly<Address> | undefined, isV4: boolean): boolean {
  return address === undefined || (address.isV4 === isV4 && address.isUnspecified)
}

function addTo(map: Map<number, ListeningPort[]>, key: number, port: ListeningPort): void {
  const others = map.get(key)
  if (others === undefined) map.set(key, [port])
  else others.push(port)
}

function removeFrom(map: Map<number, ListeningPort[]>, key: number, port: ListeningPort): void {
  const left = map.get(key)?.filter((other) => other !== port) ?? []
  if (left.length > 0) map.set(key, left)
  else map.delete(key)
}
