/**
 * ARP answers for the guest: a protocol plugin of demiflow.
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { ArpHandler, type ArpOptions } from "./handler.ts"

export type { ArpOptions } from "./handler.ts"

/** The plugin: answers for every IPv4 address but the guest's own ones. */
export function arp(options: ArpOptions = {}): ProtocolPlugin {
  return (components) => new ArpHandler(components, options)
}
