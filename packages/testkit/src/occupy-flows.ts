import { Address, Demiflow, type FlowIndex, type FlowTable, Interface } from "@demiflow/core"

const NOBODY = Address.parse("203.0.113.253")

/**
 * Takes places of a flow table: active flows of IP protocol 253 (RFC 3692), between ends that no packet of a test has.
 *
 * @param handler the number of the handler whose flows they are
 * @returns the flows, which the caller releases
 */
export function occupyFlows(flows: FlowTable, handler: number, count: number): FlowIndex[] {
  return Array.from({ length: count }, (_, index) => {
    const tapSide = Demiflow.of(Interface.tap, NOBODY, handler, NOBODY, index)
    const initiated = flows.initiate(flows.allocate(handler, 253), tapSide)
    return flows.activate(flows.target(initiated, Demiflow.of(Interface.host, NOBODY, handler, NOBODY, index)))
  })
}
