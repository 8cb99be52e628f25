import {
  type Components,
  type Demiflow,
  type FlowIndex,
  flowOf,
  GuestPort,
  IpProtocol,
  type SharedPort,
  type SideRef,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import { UdpFlow } from "./state.ts"

/** Finds the flow of what a port's socket has received, or has heard about. */
export class FlowFinder {
  readonly #flows: Components["flows"]
  readonly #get: (flow: FlowIndex) => UdpFlow | SplicedFlow | undefined

  /** @param get the state of a flow of either kind */
  constructor({ flows }: Components, get: (flow: FlowIndex) => UdpFlow | SplicedFlow | undefined) {
    this.#flows = flows
    this.#get = get
  }

  /**
   * The flow of a datagram that a port has received.
   *
   * @param ends as its side of the host: of a listening port, both are known
   */
  heardAt(port: SharedPort, ends: Demiflow): UdpFlow | SplicedFlow | undefined {
    this.#complete(port, ends)
    const side = this.#flows.lookup(IpProtocol.udp, ends)
    if (side >= 0) return this.#get(flowOf(side))
    if (port instanceof GuestPort || ends.forwardingAddress.isUnspecified) return undefined
    const begun = this.#lookUpUnspecified(ends)
    const flow = begun < 0 ? undefined : this.#get(flowOf(begun))
    // Another listener may have the same number at another address.
    return flow instanceof UdpFlow && flow.port === port ? flow : undefined
  }

  /** The flow by which a port has sent what an error is about; `ends` as the error names them. */
  sentTo(port: SharedPort, ends: Demiflow): UdpFlow | SplicedFlow | undefined {
    ends.forwardingPort = port.number
    if (ends.forwardingAddress.isUnspecified) setUnspecified(ends)
    return this.heardAt(port, ends)
  }

  #complete(port: SharedPort, ends: Demiflow): void {
    if (port instanceof GuestPort) port.complete(ends)
    else ends.interface = port.interface
  }

  #lookUpUnspecified(ends: Demiflow): SideRef {
    const { forwardingAddress } = ends
    // A flow that the guest began there left the choice of the address to the host.
    const { word0, word1, word2, word3 } = forwardingAddress
    setUnspecified(ends)
    const begun = this.#flows.lookup(IpProtocol.udp, ends)
    forwardingAddress.word0 = word0
    forwardingAddress.word1 = word1
    forwardingAddress.word2 = word2
    forwardingAddress.word3 = word3
    return begun
  }
}

/** Leaves the forwarding address unspecified, of the correspondent's family. */
function setUnspecified({ correspondentAddress, forwardingAddress }: Demiflow): void {
  forwardingAddress.copyFrom(correspondentAddress.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
}
