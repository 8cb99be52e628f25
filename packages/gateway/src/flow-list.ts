/** The flows of a gateway that are live, from what the stack reports to observers. */
import { type FlowIndex, type FlowTotals, Interface, type ObservedFlow, type Observer } from "@demiflow/core"
import type { Stack } from "@demiflow/stack"

/** One end of a flow. */
export interface FlowAddress {
  readonly address: string
  /** For echo, the identifier. */
  readonly port: number
}

/** A flow, when it was listed. */
export interface GatewayFlow extends FlowTotals {
  /** `tcp`, `udp`, or `icmp` for echo. */
  readonly protocol: string
  readonly isFromGuest: boolean
  readonly guest: FlowAddress
  /** The other end as the guest sees it: `10.0.2.2` for the host's loopback. */
  readonly seenByGuest: FlowAddress
  /** The other end as the host sees it. */
  readonly outside: FlowAddress
  /** As its protocol names it, see `Observer.changed`; undefined if it hasn't changed since the flow began. */
  readonly state: string | undefined
}

interface Known {
  readonly flow: Omit<GatewayFlow, "state">
  state: string | undefined
}

/** Live flows, in the order in which they began. */
export class FlowList implements Iterable<GatewayFlow>, Observer {
  readonly #stack: Stack
  readonly #known = new Map<FlowIndex, Known>()

  constructor(stack: Stack) {
    this.#stack = stack
  }

  /** The number of flows. */
  get size(): number {
    return this.#known.size
  }

  opened(flow: ObservedFlow): void {
    this.#known.set(flow.flow, { flow: describe(flow), state: undefined })
  }

  changed({ flow }: ObservedFlow, state: string): void {
    const known = this.#known.get(flow)
    if (known !== undefined) known.state = state
  }

  closed({ flow }: ObservedFlow): void {
    this.#known.delete(flow)
  }

  *[Symbol.iterator](): Iterator<GatewayFlow> {
    for (const [index, { flow, state }] of [...this.#known]) yield { ...flow, state, ...this.#totalsOf(index) }
  }

  #totalsOf(flow: FlowIndex): FlowTotals {
    const { handlers, parts } = this.#stack
    return handlers[parts.flows.handlerOf(flow)]?.totalsOf?.(flow) ?? {}
  }
}

function describe({ handler, initiating, target }: ObservedFlow): Omit<GatewayFlow, "state"> {
  const isFromGuest = initiating.interface === Interface.tap
  const [tap, host] = isFromGuest ? [initiating, target] : [target, initiating]
  return {
    protocol: handler,
    isFromGuest,
    guest: { address: tap.correspondentAddress.toString(), port: tap.correspondentPort },
    seenByGuest: { address: tap.forwardingAddress.toString(), port: tap.forwardingPort },
    outside: { address: host.correspondentAddress.toString(), port: host.correspondentPort },
  }
}
