/**
 * The vocabulary of demiflow: addresses, demiflows, wire formats, checksums, the interfaces that links, hosts and
 * protocols implement, and the stack that protocols register with. No I/O, no dependency; runs in a browser.
 *
 * @packageDocumentation
 */
export * from "./address.ts"
export * from "./arena.ts"
export * from "./checksum.ts"
export * from "./clock.ts"
export * from "./demiflow.ts"
export * from "./disposition.ts"
export * from "./drops.ts"
export * from "./error-budget.ts"
export * from "./flow-table.ts"
export * from "./forwarding.ts"
export * from "./guest.ts"
export * from "./host.ts"
export * from "./host-network.ts"
export * from "./icmp-error.ts"
export * from "./icmp-form.ts"
export * from "./link.ts"
export * from "./listener.ts"
export * from "./mac-address.ts"
export * from "./plugin.ts"
export * from "./sequence.ts"
export * from "./stack.ts"
export * from "./transport-checksum.ts"
export * from "./waiting-list.ts"
export * from "./wire/ethernet.ts"
export * from "./wire/icmp.ts"
export * from "./wire/ip.ts"
export * from "./wire/udp.ts"
