/**
 * Courier, a protocol that exists only here: datagrams over IP protocol 253 (set aside for experiments by RFC 3692),
 * with four bytes of header, the sender's and the receiver's port, and nothing else.
 *
 * # Theory of operation
 *
 * The guest speaks Courier; the world does not. So the guest's letters leave as UDP to the same address and port, and
 * answers go to the guest as Courier. Each conversation (one address and port of the guest, one beyond) is a flow. A
 * conversation ends after a minute without a datagram in either direction. All conversations of a port of the guest's
 * share one UDP socket of the host. All of this is the work of `DatagramHandler`; what is Courier's own is its header.
 *
 * The forwarding policy decides where a flow goes, as for every other protocol: Courier to the gateway reaches the
 * host's loopback, if the stack's rules say so. Nothing in demiflow knows that Courier exists.
 */
import type { Components, Demiflow, ProtocolPlugin } from "@demiflow/core"
import { DatagramHandler } from "@demiflow/protocol-kit"

/** IP protocol number. */
export const COURIER_PROTOCOL = 253

/** Options of the plugin. */
export interface CourierOptions {
  /** Milliseconds without a datagram after which a conversation ends. */
  readonly timeout?: number
}

/** The plugin, to be registered with a stack. */
export function courier({ timeout = 60_000 }: CourierOptions = {}): ProtocolPlugin {
  return (components) => new CourierHandler(components, timeout)
}

class CourierHandler extends DatagramHandler {
  constructor(components: Components, idleTimeout: number) {
    super(components, { name: "courier", protocol: COURIER_PROTOCOL, headerLength: 4, idleTimeout })
  }

  /** Source port, target port. */
  protected override writeHeader(offset: number, { forwardingPort, correspondentPort }: Demiflow): void {
    const { view } = this.components.arena
    view.setUint16(offset, forwardingPort)
    view.setUint16(offset + 2, correspondentPort)
  }
}
