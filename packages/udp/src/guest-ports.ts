import {
  type Demiflow,
  Errno,
  type FlowTable,
  type Host,
  Interface,
  IpProtocol,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import { GuestPort } from "./ports.ts"

/**
 * Ports that are remembered for one port of the guest's. Beyond the first there are some where the guest has several addresses
 * that speak to the same correspondent; one more than that isn't shared.
 */
const MOST_ALIKE = 16

/** The ports of the host that the guest's flows have: one for each port of the guest's, whoever its correspondents are. */
export class GuestPorts {
  readonly #flows: FlowTable
  readonly #host: Host
  /** By the guest's port. */
  readonly #byGuestPort = new Map<number, GuestPort[]>()
  readonly #open = new Set<GuestPort>()

  constructor(flows: FlowTable, host: Host) {
    this.#flows = flows
    this.#host = host
  }

  /** Those that are open. */
  get open(): ReadonlySet<GuestPort> {
    return this.#open
  }

  /**
   * The port that a flow of the guest's shares, and `target` as the side that it has there; undefined if there is none yet.
   * One that was opened for the same address of the guest's goes first; another one does unless its correspondent is spoken
   * to from there already, and couldn't say whom it answers.
   */
  find(tap: Demiflow, target: Demiflow): GuestPort | undefined {
    const ports = this.#byGuestPort.get(tap.correspondentPort)
    if (ports === undefined) return undefined
    const isApart = this.#isApart(target)
    const wanted = target.forwardingPort
    let found: GuestPort | undefined
    for (let index = 0; index < ports.length; index++) {
      const port = ports[index]
      if (port.isApart !== isApart || !port.address.equals(target.forwardingAddress)) continue
      const isSame = port.guestAddress.equals(tap.correspondentAddress)
      if (found !== undefined && !isSame) continue
      target.forwardingPort = port.number
      if (this.#flows.lookup(IpProtocol.udp, target) >= 0) continue
      found = port
      if (isSame) break
    }
    target.forwardingPort = found === undefined ? wanted : found.number
    return found
  }

  /**
   * Opens a port for a flow of the guest's: the one that `target` asks for or, if that can't be had, any. Fills in which it is;
   * a negative number if there is none.
   */
  add(side: SideRef, tap: Demiflow, target: Demiflow): GuestPort | Socket {
    const host = this.#host
    let socket = host.udpBind(side, target)
    if (target.forwardingPort !== 0 && (socket === -Errno.EADDRINUSE || socket === -Errno.EACCES)) {
      target.forwardingPort = 0
      socket = host.udpBind(side, target)
    }
    if (socket < 0) return socket
    if (target.forwardingPort === 0) {
      const bound = target.clone()
      const result = host.boundEnd(socket, bound)
      if (result < 0) {
        host.close(socket)
        return result as Socket
      }
      target.forwardingPort = bound.forwardingPort
    }
    const { forwardingAddress: address, forwardingPort } = target
    const bound = { address, port: forwardingPort, isApart: this.#isApart(target) }
    const port = new GuestPort(host, Interface.host, bound, socket, tap.correspondentAddress, tap.correspondentPort)
    this.#open.add(port)
    const alike = this.#byGuestPort.get(port.guestPort)
    if (alike === undefined) this.#byGuestPort.set(port.guestPort, [port])
    else if (alike.length < MOST_ALIKE) alike.push(port)
    return port
  }

  /** Closes one that isn't in use any more. */
  remove(port: GuestPort): void {
    this.#open.delete(port)
    const alike = this.#byGuestPort.get(port.guestPort)
    const index = alike?.indexOf(port) ?? -1
    if (alike !== undefined && index >= 0) {
      if (alike.length === 1) this.#byGuestPort.delete(port.guestPort)
      else alike.splice(index, 1)
    }
    port.close()
  }

  #isApart(target: Demiflow): boolean {
    return target.correspondentAddress.isLoopback && this.#host.separatesLoopback(target.isV4)
  }
}
