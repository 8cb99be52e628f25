/**
 * Simulated host, scripted guest, virtual clock and compliance suites for demiflow plugins.
 *
 * @packageDocumentation
 */
export * from "./allocation/bytes-per-call.ts"
export * from "./allocation/quiet-guest.ts"
export * from "./bytes.ts"
export * from "./guest/connection-types.ts"
export * from "./guest/guest-connection.ts"
export * from "./guest/guest-tcp.ts"
export * from "./guest/no-neighbours.ts"
export * from "./guest/scripted-connection.ts"
export * from "./guest/scripted-guest.ts"
export * from "./hollow-stack.ts"
export type { Network } from "./host/network.ts"
export * from "./host/simulated-local-path.ts"
export * from "./host/simulated-pipes.ts"
export * from "./host/simulated-sockets.ts"
export * from "./host/simulated-sockets-options.ts"
export * from "./host/socket-faults.ts"
export * from "./host/world.ts"
export { type ConnectOutcome, WorldConnection, type WorldConnectionFailure } from "./host/world-connection.ts"
export * from "./link-end.ts"
export * from "./memory-stack.ts"
export * from "./occupy-flows.ts"
export * as build from "./packets/build.ts"
export type {
  ArpFields,
  EthernetFields,
  Ipv4Fields,
  Ipv6Fields,
  MacLike,
  PacketMarks,
} from "./packets/build-network.ts"
export type { IcmpFields, TcpFields, UdpFields } from "./packets/build-transport.ts"
export * as check from "./packets/check.ts"
export { expectFrame, PacketMismatchError } from "./packets/check.ts"
export * from "./packets/describe.ts"
export { buildPacket, type Layer, patternBytes, patternPayload, payload } from "./packets/layer.ts"
export * from "./packets/parse.ts"
export type { TcpOptions } from "./packets/tcp-options.ts"
export * from "./recording-log.ts"
export * from "./scripted-policy.ts"
export * from "./seeded-random.ts"
export type { PartyPlan } from "./simulation/party.ts"
export type { ConnectionPlan, Scenario } from "./simulation/scenario.ts"
export { SimulationError, type SimulationOptions, type SimulationReport, simulate } from "./simulation/simulate.ts"
export * from "./slow-link.ts"
export * from "./static-ports.ts"
export * from "./virtual-clock.ts"
