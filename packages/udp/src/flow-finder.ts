import {
  type Components,
  type Demiflow,
  type FlowIndex,
  flowOf,
  IpProtocol,
  type SideRef,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { GuestPort, type SharedPort } from "@demiflow/protocol-kit"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import { UdpFlow } from "./state.ts"

/** Finds the flow of a datagram that a port's socket has received, or that an error is about. */
export class FlowFinder {
  readonly #flows: Components["flows"]
  readonly #get: (flow: FlowIndex) => UdpFlow | SplicedFlow | undefined

  /** @param get returns the state of a flow of either kind */
  constructor({ flows }: Components, get: (flow: FlowIndex) => UdpFlow | SplicedFlow | undefined) {
    this.#flows = flows
    this.#get = get
  }

  /**
   * Returns the flow of a datagram that a port has received.
   *
   * @param ends the datagram's side on the host; both ends are known if the port is a listening one
   */
  heardAt(port: SharedPort, ends: Demiflow): UdpFlow | SplicedFlow | undefined {
    this.#complete(port, ends)
    const side = this.#flows.lookup(IpProtocol.udp, ends)
    if (side >= 0) return this.#get(flowOf(side))
    if (port instanceof GuestPort || ends.forwardingAddress.isUnspecified) return undefined
    const begun = this.#lookUpUnspecified(ends)
    const flow = begun < 0 ? undefined : this.#get(flowOf(begun))
    // Another listening port may have the same number at another address.
    return flow instanceof UdpFlow && flow.port === port ? flow : undefined
  }

  /** Returns the flow by which a port has sent the datagram that an error is about; `ends` are those of the error. */
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
    // For a flow that the guest began at this port, the host chooses the address.
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

/** Makes the forwarding address the unspecified one of the correspondent's family. */
function setUnspecified({ correspondentAddress, forwardingAddress }: Demiflow): void {
  forwardingAddress.copyFrom(correspondentAddress.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
}
