/**
 * TCP between the guest and the host's sockets.
 *
 * # Theory of operation
 *
 * A connection of the guest is ended here, and carried on by one socket of the host. There is no TCP stack and no buffer
 * in between: each end's acknowledgements and windows are made from what the other end does.
 *
 * - **Connecting** (connecting.ts). The guest's SYN opens a flow and starts the host's connect: a few in a turn, the others in the
 *   next ones; while many are unanswered or wait, in a quarter of the time (opening-pace.ts). Only its success brings a SYN with
 *   acknowledgement; a refusal is passed on as a reset, an unreachable correspondent as an ICMP error.
 * - **Half-open connections** (half-open.ts) are limited in both directions, and so are those to one destination and at one port
 *   (crowds.ts). At the limit, the oldest one gives way.
 * - **Listening** (listening.ts, accepted.ts). A connection that a correspondent begins at a port of the host is accepted,
 *   and the guest is sent a SYN from the address and port under which it may know the correspondent. It is sent again after 1,
 *   3, 7 and 15 seconds, so that a guest that comes up meanwhile gets the connection; a guest that refuses, or has not answered
 *   after 31 seconds, has the correspondent reset. What that sends in the meantime waits in the socket. From then on it does
 *   not matter who began: the tap side is then the flow's target side, and the host's its initiating side.
 * - **Guest to host** (from-tap.ts, to-host.ts). Payload in order goes to the socket; what that doesn't take is held
 *   (hold-pool.ts), for it was inside the window. Payload that is ahead waits for what is missing (out-of-order.ts).
 *   Acknowledged is what the socket took, if the correspondent is near, or what the correspondent itself acknowledged; the
 *   window is the socket's room.
 * - **Host to guest** (to-tap.ts). Payload stays in the socket's receive buffer until the guest has acknowledged it; it is
 *   read in place behind the headers it is sent with, and read again to be sent again. Retransmission by RFC 6298, 5681,
 *   6582 (round-trip.ts, congestion.ts).
 *   Where the link cuts nothing, one read fills many segments, with room for headers between them. While the link has more than
 *   the guest takes, payload stays in the sockets, and the time that passes is not the guest's: time-outs begin anew.
 * - **How large segments are** (path-mtu.ts). As the guest's SYN says, until a router on its side says "too big".
 * - **Whether both are still there** (keep-alive.ts). Silent guests are asked, and the correspondent when the guest asks.
 * - **The end** (state.ts). Each direction ends by itself: a FIN of the guest becomes a shutdown of the socket once all before
 *   it is handed over, the end of what the socket gives becomes a FIN. A reset, or a time limit, ends both. What is held
 *   when both have ended keeps the connection until it is delivered, or until the host has taken none of it for long.
 *
 * - **Local connections** (local/). Where both ends are sockets of this machine, one on the host and one inside the guest's
 *   namespace, bytes go from socket to socket inside the kernel, and nothing of the above applies: local/splicing.ts.
 *
 * The state machine is in state.ts, as a table. Segments are checked by RFC 9293 and RFC 5961; initial sequence numbers are
 * RFC 6528's (initial-sequence.ts); what both ways to begin have in common is in handshake.ts. Deliberately not done: selective
 * acknowledgements, time stamps (RFC 7323), ECN, urgent data (passed on as ordinary data).
 *
 * @packageDocumentation
 */
import type { ProtocolPlugin } from "@demiflow/core"
import { TcpHandler } from "./handler.ts"
import { defaultTcpOptions, type TcpOptions } from "./options.ts"

export type { TcpOptions } from "./options.ts"

/** TCP, to be registered with a stack. */
export function tcp(options: TcpOptions = {}): ProtocolPlugin {
  return (components) => new TcpHandler(components, { ...defaultTcpOptions, ...options })
}
