/**
 * ARP replies for the guest: a protocol plugin of demiflow.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { ArpHandler, type ArpOptions } from "./handler.ts"

export type { ArpOptions } from "./handler.ts"

/** The ARP plugin: answers requests for every IPv4 address but the guest's own. */
export function arp(options: ArpOptions = {}): ProtocolPlugin {
  return (components) => new ArpHandler(components, options)
}
