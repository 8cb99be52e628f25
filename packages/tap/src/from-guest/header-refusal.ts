import {
  Demiflow,
  ETHERNET_TARGET,
  Icmpv6Type,
  Interface,
  IPV6_SOURCE,
  IPV6_TARGET,
  IpProtocol,
  MacAddress,
} from "@demiflow/core"
import { PacketRefusal, type RefusalParts } from "@demiflow/protocol-kit"
import type { ExtensionHeaders } from "./extension-headers.ts"

/** Reports to the sender that an IPv6 packet was dropped because of its extension headers (RFC 4443, section 3.4). */
export class HeaderRefusal {
  readonly #view: DataView
  readonly #headers: ExtensionHeaders
  readonly #refusal: PacketRefusal
  readonly #demiflow = new Demiflow(Interface.tap)
  readonly #targetMac = new MacAddress()

  /** @param headers whose last walk has found a problem whenever {@link HeaderRefusal.send} is called */
  constructor(parts: RefusalParts, headers: ExtensionHeaders) {
    this.#view = parts.arena.view
    this.#headers = headers
    this.#refusal = new PacketRefusal(parts)
  }

  /**
   * Sends the report about a packet.
   *
   * @param frame arena offset of the Ethernet header
   * @param network arena offset of the IPv6 header, whose addresses have been checked
   * @param end arena offset behind the packet
   */
  send(frame: number, network: number, end: number): void {
    const { problemCode, problemOffset } = this.#headers
    const { correspondentAddress, forwardingAddress } = this.#demiflow
    correspondentAddress.readV6(this.#view, network + IPV6_SOURCE)
    forwardingAddress.readV6(this.#view, network + IPV6_TARGET)
    this.#targetMac.read(this.#view, frame + ETHERNET_TARGET)
    const { noNextHeader } = IpProtocol
    const { parameterProblem } = Icmpv6Type
    const pointer = problemOffset - network
    this.#refusal.refuse(
      this.#demiflow,
      this.#targetMac,
      noNextHeader,
      parameterProblem,
      problemCode,
      pointer,
      network,
      end,
    )
  }
}
