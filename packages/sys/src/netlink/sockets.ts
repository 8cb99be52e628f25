/** The list of sockets of one IP version and protocol, by sock_diag(7). */
import { attributes, MACHINE_ORDER, type Message, type MessageWriter } from "./message.ts"

/** A `struct inet_diag_sockid` that matches any socket. */
const ANY_SOCKET = new Uint8Array(48)
/** Bytes of `struct inet_diag_msg`. */
const SOCKET_BYTES = 72
/** Offsets of the state and the local port in it. */
const STATE = 1
const LOCAL_PORT = 4
/** INET_DIAG_SOCKOPT: `struct inet_diag_sockopt`, bit fields, in reverse order on a big-endian machine. */
const OPTIONS = 22
const RECEIVES_ERRORS = MACHINE_ORDER ? 0x01 : 0x80
const BINDS_ADDRESS_WITHOUT_PORT = MACHINE_ORDER ? 0x01 : 0x80

/**
 * Writes a SOCK_DIAG_BY_FAMILY request for the sockets in the given states: `struct inet_diag_req_v2`.
 *
 * @param family AF_INET or AF_INET6
 * @param protocol IP protocol number
 * @param states bits by state, TCP_…, which UDP uses as well
 */
export function writeSocketQuery(
  writer: MessageWriter,
  family: number,
  protocol: number,
  states: readonly number[],
): void {
  writer
    .uint8(family, protocol, 0, 0)
    .uint32(states.reduce((mask, state) => mask | (1 << state), 0))
    .bytes(ANY_SOCKET)
}

/** The local port of the socket that a message describes, in host byte order; 0 for none or a malformed one. */
export function parseLocalPort(view: DataView, { offset, end }: Message): number {
  return end - offset < SOCKET_BYTES ? 0 : view.getUint16(offset + LOCAL_PORT)
}

/** The state of that socket, TCP_…. */
export function parseState(view: DataView, { offset }: Message): number {
  return view.getUint8(offset + STATE)
}

/**
 * Whether that socket belongs to flows: `DatagramSockets.openUnconnected` marks them. False on kernels before 5.10,
 * which list no options.
 */
export function isOfFlows(view: DataView, { offset, end }: Message): boolean {
  const options = attributes(view, offset + SOCKET_BYTES, end).get(OPTIONS)
  if (options === undefined || options.end - options.offset < 2) return false
  const receivesErrors = (view.getUint8(options.offset) & RECEIVES_ERRORS) !== 0
  return receivesErrors && (view.getUint8(options.offset + 1) & BINDS_ADDRESS_WITHOUT_PORT) !== 0
}
