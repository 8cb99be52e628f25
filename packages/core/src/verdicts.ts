import type { Demiflow } from "./demiflow.ts"
import type { Listener } from "./listener.ts"
import type { Ruling } from "./ruling.ts"
import type { Sequence } from "./sequence.ts"
import type { DecidedVerdictId, VerdictId } from "./verdict.ts"

/**
 * Verdicts on new flows, for protocols: they ask here, never the policy itself.
 *
 * The packets that began a flow are kept while its verdict is open, repeated packets ask nothing twice, and only a
 * limited number of flows wait. No method throws: a flow about which the policy throws is dropped. A verdict is asked
 * for when a flow begins, never for a packet of a flow that exists.
 */
export interface Verdicts {
  /**
   * Decides about a flow that a packet of the guest begins. A handler counts the packets of a flow that is refused or
   * dropped under the ruling's reason, and reports a refusal to the guest.
   *
   * `Verdict.later`: the packets from `index` on are kept, or counted as dropped. The handler forgets them. Once the
   * question is answered, they are handed to it again, and this method then returns the answer.
   *
   * @param protocol IP protocol number, as for `FlowTable.lookup`
   * @param initiating the flow's tap side
   * @param ruling filled in
   */
  fromGuest(protocol: number, initiating: Demiflow, ruling: Ruling, sequence: Sequence, index: number): VerdictId
  /**
   * Decides about a flow that began on the host, or in the namespace, at a listener's port.
   *
   * @param initiating the flow's side there
   * @param ruling filled in
   * @param wait called if the verdict is `Verdict.later`: keeps what began the flow, and returns a function that asks
   *   again, to be called once the question is answered. Absent: what began the flow is lost, and the handler counts it
   *   under the ruling's reason
   */
  towardsGuest(listener: Listener, initiating: Demiflow, ruling: Ruling, wait?: () => () => void): VerdictId
  /**
   * Decides whether a flow that the guest has begun may go on.
   *
   * @param initiating the flow's tap side
   */
  again(protocol: number, initiating: Demiflow, ruling: Ruling): DecidedVerdictId
}
