/**
 * What protocols would otherwise write again: a base for handlers that keep flows, ports that flows share, flows and
 * sockets that give way, waiting, ICMP errors to the guest. No I/O; runs in a browser.
 *
 * @packageDocumentation
 */
export * from "./datagram-handler.ts"
export * from "./flow-handler.ts"
export * from "./flow-state.ts"
export * from "./flow-states.ts"
export { totalsOf } from "./flow-totals.ts"
export * from "./giving-way.ts"
export * from "./going-on.ts"
export * from "./guest-ports.ts"
export * from "./host-error-relay.ts"
export * from "./icmp-error.ts"
export * from "./icmp-form.ts"
export * from "./packet-refusal.ts"
export * from "./queue.ts"
export * from "./rate-budget.ts"
export * from "./sending-errors.ts"
export * from "./shared-port.ts"
export * from "./shortage-warning.ts"
export * from "./spare-ports.ts"
export * from "./use-list.ts"
export * from "./waiting-list.ts"
