/** The list of sockets that sock_diag(7) gives of one IP version and protocol. */
import type { Message, MessageWriter } from "./message.ts"

/** A `struct inet_diag_sockid` that doesn't say which. */
const ANY_SOCKET = new Uint8Array(48)
/** Bytes of `struct inet_diag_msg`. */
const SOCKET_BYTES = 72
/** Where the local port is in it. */
const LOCAL_PORT = 4

/**
 * What SOCK_DIAG_BY_FAMILY takes to list the sockets that are in one state: `struct inet_diag_req_v2`.
 *
 * @param family AF_INET or AF_INET6
 * @param protocol IP protocol number
 * @param state TCP_…, which UDP uses as well
 */
export function writeSocketQuery(writer: MessageWriter, family: number, protocol: number, state: number): void {
  writer
    .uint8(family, protocol, 0, 0)
    .uint32(1 << state)
    .bytes(ANY_SOCKET)
}

/** The local port of the socket that a message describes, in host byte order; 0 for none or a malformed one. */
export function parseLocalPort(view: DataView, { offset, end }: Message): number {
  return end - offset < SOCKET_BYTES ? 0 : view.getUint16(offset + LOCAL_PORT)
}
