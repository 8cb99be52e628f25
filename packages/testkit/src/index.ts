/**
 * Simulated host, scripted guest, virtual clock and compliance suites for demiflow plugins.
 *
 * @packageDocumentation
 */
export * from "./bytes.ts"
export * from "./guest/guest-connection.ts"
export * from "./guest/guest-tcp.ts"
export * from "./guest/scripted-connection.ts"
export * from "./guest/scripted-guest.ts"
export * from "./host/simulated-host.ts"
export { type HostFaults, NO_HOST_FAULTS } from "./host/simulated-kernel.ts"
export * from "./host/world.ts"
export { type ConnectOutcome, WorldConnection, type WorldConnectionFailure } from "./host/world-connection.ts"
export * from "./link-end.ts"
export * from "./memory-stack.ts"
export * as build from "./packets/build.ts"
export * as check from "./packets/check.ts"
export { expectFrame, PacketMismatchError } from "./packets/check.ts"
export * from "./packets/describe.ts"
export { buildPacket, type Layer, patternBytes, patternPayload, payload } from "./packets/layer.ts"
export * from "./packets/parse.ts"
export type { TcpOptions } from "./packets/tcp-options.ts"
export * from "./recording-log.ts"
export * from "./seeded-random.ts"
export type { PartyPlan } from "./simulation/party.ts"
export type { ConnectionPlan, Scenario } from "./simulation/scenario.ts"
export { SimulationError, type SimulationOptions, type SimulationReport, simulate } from "./simulation/simulate.ts"
export * from "./virtual-clock.ts"
