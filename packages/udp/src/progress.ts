import type { FlowReports } from "@demiflow/core"
import type { SharedPort, SocketHolder } from "@demiflow/protocol-kit"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import type { Scarcity } from "./scarcity.ts"
import type { UdpFlow } from "./state.ts"

/**
 * The states of flows: a flow is unanswered, then its target has answered, then the side that began it has gone on: a
 * conversation. Time-outs and scarcity distinguish these, and observers hear of them.
 */
export class Progress {
  readonly #reports: FlowReports
  readonly #scarcity: Scarcity

  constructor(reports: FlowReports, scarcity: Scarcity) {
    this.#reports = reports
    this.#scarcity = scarcity
  }

  /**
   * Records that the target of a flow has sent something.
   *
   * @param holder the flow's own socket, or the port whose socket it shares
   */
  targetHeard(flow: UdpFlow | SplicedFlow, holder: SocketHolder | SharedPort | undefined): void {
    if (flow.hasReply) return
    flow.hasReply = true
    this.#scarcity.answered(flow, holder)
    this.#reports.changed(flow.flow, "answered")
  }

  /** Records that the side that began a flow has sent something more. */
  initiatorHeard(flow: UdpFlow | SplicedFlow): void {
    if (!flow.hasReply || flow.isConversation) return
    flow.isConversation = true
    this.#reports.changed(flow.flow, "conversation")
  }
}
