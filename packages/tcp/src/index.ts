/**
 * TCP between the guest and the host's sockets.
 *
 * # Theory of operation
 *
 * A connection of the guest ends here, and continues as one socket of the host. There is no TCP stack and no buffer in
 * between: each end's acknowledgements and windows follow from those of the other end.
 *
 * Two folders hold the two halves. `connection/` decides: it knows segments without their payload, acknowledged bytes,
 * facts of the host's socket, and time. `driver/` acts: it knows the arena, the sockets and the flow table.
 *
 * - **Connecting** (driver/connecting.ts). The guest's SYN opens a flow and starts the host's connect: a few in a turn,
 *   the others in the next ones; while many are unanswered or wait, in a quarter of the time (driver/opening-pace.ts).
 *   We send a SYN with acknowledgement only once the connect succeeds; a refusal becomes a reset, an unreachable
 *   correspondent an ICMP error. Where the host can't give the wanted port, at once or later, any port does.
 * - **Half-open connections** (driver/half-open.ts) are limited in both directions, and so are connections to one
 *   destination and at one port (driver/crowds.ts). At the limit, the oldest one gives way.
 * - **Listening** (driver/listening.ts, driver/accepted.ts). A connection that a correspondent begins at a port of the
 *   host is accepted, and we send the guest a SYN from the address and port under which it may know the correspondent.
 *   We repeat the SYN after 1, 3, 7 and 15 seconds, so that a guest that comes up meanwhile gets the connection. If the
 *   guest refuses, or has not answered after 31 seconds, the correspondent is reset. Until then, the correspondent's
 *   data waits in the socket. After the handshake, it does not matter who began: the tap side is the flow's target
 *   side, and the host's its initiating side.
 * - **Guest to host** (driver/from-guest.ts, driver/to-host.ts). In-order payload goes to the socket; payload that the
 *   socket doesn't take is held (driver/hold-pool.ts), for it was inside the window. Out-of-order payload waits for the
 *   missing segment (driver/out-of-order.ts). We acknowledge what the socket took, if the correspondent is near, or
 *   what the correspondent itself acknowledged. The window is the socket's room.
 * - **Host to guest** (driver/to-guest.ts). Payload stays in the socket's receive buffer until the guest has
 *   acknowledged it. It is read to right behind the headers it is sent with, and read again to be retransmitted.
 *   Retransmission follows RFC 6298, 5681, 3042 and 6582 (connection/sender.ts, connection/round-trip.ts,
 *   connection/new-reno.ts). Where the link doesn't split segments, one read fills many of them, with space for headers
 *   in between. While the link is congested, payload stays in the sockets, and the time is not the guest's fault:
 *   time-outs start anew.
 * - **Segment size** (driver/path-mtu.ts). As the guest's SYN says, until a router on its side reports "too big".
 * - **Keep-alive** (connection/keep-alive.ts, driver/correspondent.ts). Silent guests are probed, and the correspondent
 *   when the guest probes.
 * - **The end** (connection/state.ts). Each direction ends by itself: a FIN of the guest becomes a shutdown of the
 *   socket once everything before it is handed over, the end of the socket's stream becomes a FIN. A reset, or a time
 *   limit, ends both. If payload is still held when both have ended, the connection stays until it is delivered, or
 *   until the host has taken none of it for a long time.
 *
 * - **Observers** hear the states of the guest's side, and what a connection has carried (driver/connection-totals.ts).
 * - **Local connections** (local/), with `tcpWithLocalPath`. Where both ends are sockets of this machine, one on the
 *   host and one inside the guest's namespace, bytes go from socket to socket inside the kernel, and none of the above
 *   applies: local/splicing.ts.
 *
 * The state machine of the guest's side is a table in connection/state.ts, that of the host's side in
 * connection/host-side.ts. Segments are checked by RFC 9293 and RFC 5961 (connection/acceptance.ts,
 * connection/receiver.ts); initial sequence numbers are those of RFC 6528 (driver/initial-sequence.ts);
 * connection/handshake.ts is common to both ways to begin. Deliberately not done: selective acknowledgements, time
 * stamps (RFC 7323), ECN, urgent data (delivered as ordinary data).
 *
 * @packageDocumentation
 */
import { type ProtocolPlugin, reserving } from "@demiflow/core"
import { TcpHandler } from "./driver/handler.ts"
import { Splicing } from "./local/splicing.ts"
import { defaultTcpOptions, type TcpOptions } from "./options.ts"

export type { TcpOptions } from "./options.ts"

/** Bytes of the arena for vectors and quotations. */
const SCRATCH_BYTES = 32 << 10
/** For what the local path copies. */
const LOCAL_PATH_ARENA_BYTES = 68 << 10

/**
 * The TCP plugin, to be registered with a stack. In a stack with a local path, it resets connections that are local at
 * both ends: see {@link tcpWithLocalPath}.
 */
export function tcp(options: TcpOptions = {}): ProtocolPlugin {
  const all = { ...defaultTcpOptions, ...options }
  return reserving(arenaBytes(all), (components) => new TcpHandler(components, all))
}

/** As {@link tcp}, for a guest that is a namespace with a local path. Apart, because no page needs it. */
export function tcpWithLocalPath(options: TcpOptions = {}): ProtocolPlugin {
  const all = { ...defaultTcpOptions, ...options }
  return reserving(
    arenaBytes(all),
    (components) => new TcpHandler(components, all, (context, localPath) => new Splicing(context, localPath)),
    LOCAL_PATH_ARENA_BYTES,
  )
}

function arenaBytes({ holdPoolSize }: Required<TcpOptions>): number {
  return holdPoolSize + SCRATCH_BYTES
}
