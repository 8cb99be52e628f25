/**
 * Neighbour discovery and router advertisements for the guest: a protocol plugin of demiflow.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { NdpHandler, type NdpOptions } from "./handler.ts"

export type { NdpOptions } from "./handler.ts"
export type { RouterAdvertisement } from "./router-advertisement.ts"

/**
 * The neighbour discovery plugin: answers solicitations for every IPv6 address but the guest's own, and advertises us
 * as a router if `routerAdvertisement` is given. Register it before ICMP, which has the same claim.
 */
export function ndp(options: NdpOptions = {}): ProtocolPlugin {
  return (components) => new NdpHandler(components, options)
}
