/**
 * The host side: ordinary sockets, behind an interface.
 *
 * `@demiflow/sys` implements it with the Linux kernel, `@demiflow/node-sockets` with Node.js, `@demiflow/testkit` in
 * memory. Nothing here throws: a call returns a number, and a negative one is a negated error number ({@link Errno}).
 * Payload is named by arena vectors.
 *
 * A socket belongs to a side of a flow. Its events reach the flow's handler as {@link SocketEvent} bits, edge
 * triggered: one event for a change, so the handler carries on until a call returns "would block". An event may be
 * spurious: only the next call's result counts.
 */
import { Address } from "./address.ts"
import type { Arena, Vectors } from "./arena.ts"
import type { Demiflow } from "./demiflow.ts"
import type { SideRef } from "./flow-table.ts"
import type { ListenerRef, ListeningEnd } from "./listener.ts"
import type { Socket } from "./socket.ts"
import type { SocketsCapabilities } from "./sockets-capabilities.ts"

/** Linux error numbers that protocols distinguish. */
export const Errno = {
  EPERM: 1,
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  EMSGSIZE: 90,
  EPROTONOSUPPORT: 93,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
} as const

/** True for the (positive) error numbers of a process or machine that has no descriptor or memory left. */
export function isShortage(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE || errno === Errno.ENOMEM || errno === Errno.ENOBUFS
}

/** Events of a socket, with the values of Linux's epoll. */
export const SocketEvent = {
  readable: 0x001,
  /**
   * A byte is marked as urgent (RFC 9293, section 3.8.5). It is read like the others, but reading stops before it: a
   * short read, or an empty one, does not mean that there is no more. Discarding what precedes the byte always gets
   * past that.
   */
  urgent: 0x002,
  writable: 0x004,
  error: 0x008,
  /** Both directions have ended. */
  hangUp: 0x010,
  /** The correspondent will send nothing more. */
  readEnd: 0x2000,
} as const

/** What the kernel knows about a TCP connection. */
export interface TcpInformation {
  /** Smallest round-trip time seen, microseconds. */
  minimumRtt: number
  /** Smoothed round-trip time, microseconds. */
  rtt: number
  /** Bytes that the correspondent has acknowledged since the connection began; modulo 2^53. */
  bytesAcknowledged: number
  /**
   * Bytes that the host has received from the correspondent since the connection began, where the correspondent's end
   * counts as one; modulo 2^53. -1 where the kernel doesn't report it.
   */
  bytesReceived: number
  /** Window that the correspondent advertises, bytes; -1 where the kernel doesn't report it. */
  sendWindow: number
  /** Largest payload of a segment to the correspondent, bytes. */
  sendMss: number
  /** Bytes handed to the kernel that it has not sent yet; -1 where the kernel doesn't report them. */
  notSentBytes: number
  /** Milliseconds since anything was received from the correspondent's kernel, even a bare acknowledgement. */
  silence: number
}

/** Where an error on a socket comes from. */
export const ErrorOrigin = { host: 1, icmp: 2, icmpv6: 3 } as const

/** One entry of a socket's error queue. */
export interface SocketError {
  /** A positive error number. */
  errno: number
  /** One of {@link ErrorOrigin}. */
  origin: number
  /** ICMP type and code, where the origin is one of the ICMPs. */
  icmpType: number
  icmpCode: number
  /** MTU to use, for "too big". */
  information: number
  /**
   * The router or host that reported the error, by the address that the host knows; unspecified if the host itself
   * reported it.
   */
  readonly reporter: Address
  /**
   * The host's own address that the report was sent to, which is the packet's source; unspecified if the socket doesn't
   * report it.
   */
  readonly source: Address
  /** Destination of the packet that caused the error. */
  readonly destination: Address
  destinationPort: number
  /** Where the start of the payload that caused the error was put, as an arena offset, and how many bytes of it. */
  payloadOffset: number
  payloadLength: number
}

/** An entry for {@link Sockets.receiveError} to fill in. */
export function emptySocketError(): SocketError {
  return {
    errno: 0,
    origin: 0,
    icmpType: 0,
    icmpCode: 0,
    information: 0,
    reporter: new Address(),
    source: new Address(),
    destination: new Address(),
    destinationPort: 0,
    payloadOffset: 0,
    payloadLength: 0,
  }
}

/**
 * Datagrams in the arena, to be sent or to be received into. The caller places them in both directions: a received
 * datagram lands right behind room for the headers that it will be forwarded with.
 */
export class DatagramBatch {
  readonly capacity: number
  /** Entries that the owner has filled. For the owner's use: the host neither reads nor sets it. */
  count = 0
  /**
   * Marks (`packet-marks.ts`) that set the hop limit and traffic class of all entries sent by
   * {@link Sockets.sendDatagramsTo}. The host's defaults apply with 0, or without a hop limit. Set by the caller, and
   * read by no other call.
   */
  marks = 0
  /** Arena offset of the payload. Set by the caller. */
  readonly offset: Int32Array
  /** Payload bytes. Before receiving: the room for them. */
  readonly length: Int32Array
  /** Payload bytes of each datagram where several of one size (the last may be shorter) share the entry, else 0. */
  readonly segmentSize: Int32Array
  /** IPv4 type of service or IPv6 traffic class of a received datagram; not read for sending. */
  readonly trafficClass: Uint8Array
  /**
   * Index of the interface that a correspondent's link-local address belongs to, else 0.
   * {@link Sockets.receiveFromAnyone} sets it, and {@link Sockets.sendDatagramsTo} takes it back; 0 also stands for the
   * default interface of such addresses. A link-local address is another node's on each link (RFC 4007, section 6).
   */
  readonly scope: Int32Array

  constructor(capacity: number) {
    this.capacity = capacity
    this.offset = new Int32Array(capacity)
    this.length = new Int32Array(capacity)
    this.segmentSize = new Int32Array(capacity)
    this.trafficClass = new Uint8Array(capacity)
    this.scope = new Int32Array(capacity)
  }
}

/** Where events of sockets go: a stack. */
export interface SocketEvents {
  /** Hands over an event of a socket with the side that it was opened for; bits of {@link SocketEvent}. */
  fromHost(side: SideRef, events: number): void
  /** Hands over an event of a listening socket. */
  fromListener(listener: ListenerRef, events: number): void
}

/** Sockets of the host. */
export interface Sockets {
  /** What these sockets can do; absent: everything. */
  readonly capabilities?: SocketsCapabilities
  /** Sockets that the host has for all its users; absent: no known limit. Protocols keep to shares of it. */
  readonly mostSockets?: number

  readonly arena: Arena
  /**
   * Sets where events of sockets go that are opened from now on; undefined at the end, when all are closed. Events come
   * from a loop, never during a call of these sockets. Absent: the caller polls the sockets and hands the events over.
   *
   * Throws `SocketsInUseError` (`ERR_SOCKETS_IN_USE`) if the events go somewhere already: each stack has sockets of
   * its own.
   */
  deliverTo?(events: SocketEvents | undefined): void

  /**
   * Begins to connect to the demiflow's correspondent end, without blocking. The parts of its forwarding end that are
   * given are bound. Connections to several correspondents may share one forwarding end. An event on the side,
   * "writable", reports that the outcome is known, or may be: read it with {@link Sockets.connectOutcome}.
   *
   * @param hopLimit of what is sent, from the SYN on; the host's default if 0 or not given
   * @param trafficClass of what is sent, without ECN; 0 if not given
   * @param queuesErrors queues what routers report for {@link Sockets.receiveError}, until
   *   {@link Sockets.stopQueuingErrors}; the payload there is the quoted TCP header
   */
  tcpConnect(
    side: SideRef,
    demiflow: Demiflow,
    hopLimit?: number,
    trafficClass?: number,
    queuesErrors?: boolean,
  ): Socket
  /**
   * Leaves what routers report to the kernel from now on. To be called once a TCP socket is connected: while reports
   * are queued, each also counts as an error of the connection, which no report may end (RFC 1122, section 4.2.3.9).
   */
  stopQueuingErrors(socket: Socket, isV4: boolean): void
  /** Listens for connections. An event of the listener reports that one is waiting. */
  tcpListen(listener: ListenerRef, end: ListeningEnd): Socket
  /**
   * Accepts a waiting connection and fills in both ends of `demiflow`: forwarding is the end that the correspondent
   * connected to. Returns `-EAGAIN` if none is waiting. The socket has no events before {@link Sockets.watch}.
   */
  tcpAccept(listening: Socket, demiflow: Demiflow): Socket
  /** Connections waiting at a listening socket, or a negated error number. */
  connectionsWaiting(listening: Socket): number
  /** Traffic class of the SYN that began an accepted connection; 0 if the host doesn't know. Call it once at most. */
  acceptedTrafficClass(socket: Socket): number
  /**
   * Delivers the events of an accepted socket to the side from now on, including those that hold already. Returns 0 or
   * a negated error number.
   */
  watch(socket: Socket, side: SideRef): number
  /** Hands over payload and returns the bytes taken. */
  send(socket: Socket, vectors: Vectors, first: number, count: number): number
  /**
   * Copies payload that has arrived, beginning `skip` bytes after the first undiscarded one, without consuming it.
   * Returns the bytes copied: all there are, or as many as there is room for (but see {@link SocketEvent.urgent}).
   * Returns 0 at the end of what the correspondent sends, and `-EAGAIN` if there is nothing yet.
   */
  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number
  /** Drops the first `length` bytes of what has arrived. */
  discard(socket: Socket, length: number): number
  /** Bytes sent and not acknowledged by the correspondent, including those not yet transmitted. */
  unacknowledged(socket: Socket): number
  /** Bytes that have arrived and were not discarded. */
  unread(socket: Socket): number
  /** Size of the send buffer as the kernel accounts for it (bytes, overhead included). */
  sendBufferSize(socket: Socket): number
  /** Fills `into`; 0, or a negated error number. */
  tcpInformation(socket: Socket, into: TcpInformation): number
  /**
   * Sets how long the correspondent may be silent before the host probes whether it is still there (keep-alive,
   * RFC 9293, section 3.8.4). If it has been silent for that long already, the host probes at once. Every TCP socket
   * starts with the host's default.
   *
   * A reply shows in {@link TcpInformation.silence}. A reset, or several probes without a reply, end the connection
   * with an error. Once a time is set, several means 127, counting each call that makes the host probe at once. The
   * host doesn't probe while the correspondent has data to acknowledge, because retransmissions have the same effect.
   *
   * @param idle seconds, 1–32,767; 0 restores the host's default
   */
  keepAlive(socket: Socket, idle: number): number
  /**
   * Probes at once whether the correspondent is still there, if it has been silent for a second. From then on the
   * caller probes and gives up: the host sends no probe by itself (for nine hours), and up to 126 probes without a
   * reply don't end the connection. If the host is configured to give up sooner than is usual, its limits hold.
   * {@link Sockets.keepAlive} with 0 restores the host's default.
   */
  askCorrespondent(socket: Socket): number
  /** Ends our direction; what was handed over is still delivered. */
  shutdownWrite(socket: Socket): number
  /** Closes a TCP socket by a reset instead of an orderly end. */
  reset(socket: Socket): void

  /**
   * Opens a UDP socket connected to the demiflow's correspondent end: it receives only from there. Errors that routers
   * or the correspondent report are queued for {@link Sockets.receiveError}. One entry may receive several datagrams.
   */
  udpOpen(side: SideRef, demiflow: Demiflow): Socket
  /**
   * Opens a UDP socket at the demiflow's forwarding end, which no other socket of the host shares. It sends to any
   * correspondent with {@link Sockets.sendDatagramsTo} and receives from any with {@link Sockets.receiveFromAnyone}. Of
   * the demiflow's correspondent, it matters only whether its address is a loopback one, see
   * {@link Sockets.separatesLoopback}. Errors are queued as for {@link Sockets.udpOpen}.
   */
  udpBind(side: SideRef, demiflow: Demiflow): Socket
  /**
   * Listens for datagrams from any correspondent, as {@link Sockets.udpBind}. An event of the listener reports that
   * some are waiting.
   */
  udpListen(listener: ListenerRef, end: ListeningEnd): Socket
  /**
   * True if a socket that reaches the outside doesn't reach the host's loopback, because it is bound to an interface.
   */
  separatesLoopback(isV4: boolean): boolean
  /** Delivers the events of the socket to this side from now on. */
  handOver(socket: Socket, side: SideRef): void
  /**
   * As {@link Sockets.receiveDatagrams}, for a socket from {@link Sockets.udpBind}, {@link Sockets.udpListen} or
   * {@link Sockets.pingBind}. Fills in the correspondent end of `ends[i]`, and the batch's `scope`, for datagram `i`.
   * For a listening socket it fills in the forwarding end too: the address there is the one that the host would reply
   * from.
   */
  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number
  /**
   * As {@link Sockets.sendDatagrams}, for such a socket. All entries go to the demiflow's correspondent end with the
   * batch's marks, from its forwarding address unless that is unspecified. A correspondent may be a multicast group.
   *
   * @param scope index of the interface for link-local addresses of the demiflow; 0: their default interface
   */
  sendDatagramsTo(
    socket: Socket,
    demiflow: Demiflow,
    scope: number,
    batch: DatagramBatch,
    first: number,
    count: number,
  ): number
  /**
   * Opens a ping socket (icmp(7), `IPPROTO_ICMP` datagrams) of the demiflow's version of IP, at its forwarding end. The
   * port there is the identifier, or 0 for one that the host chooses. As with {@link Sockets.udpBind}, no other socket
   * of that version shares it, requests go to any correspondent with {@link Sockets.sendDatagramsTo}, and of the
   * demiflow's correspondent only loopback matters. Returns `-EADDRINUSE` if the identifier is in use. A host may count
   * an identifier as in use for both versions, except among its own sockets.
   *
   * Payload is a whole ICMP or ICMPv6 message, from the type on; the host fills in identifier and checksum when
   * sending. Only echo replies with that identifier are received, from any correspondent:
   * {@link Sockets.receiveFromAnyone} fills in its address (the port has no meaning). Returns `-EACCES` or `-EPERM`
   * where the host forbids ping sockets. To only find that out, pass `NO_SIDE` as `side`: the socket has no events.
   */
  pingBind(side: SideRef, demiflow: Demiflow): Socket
  /**
   * Sends entries `first` to `first + count - 1`, those with a segment size as several datagrams. The caller
   * need not limit their number or length: the host sends separately what its kernel or device doesn't cut.
   *
   * Returns the number of entries taken or, if the first was not, its negated error number: call again from the first
   * entry not taken to learn why. If an entry sent separately was refused midway, the datagrams before are gone, and
   * `offset`, `length` and `segmentSize` describe the rest. A pending error of the socket is returned in the same way,
   * and cleared: the datagram was not sent then, but may be when offered again.
   */
  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number
  /**
   * Receives up to `count` datagrams into entries from index 0. The caller has set `offset` and, in `length`, the room
   * there; the host replaces `length` by the datagram's own length and sets `segmentSize` and `trafficClass`. A length
   * above the room means that the datagram's end was cut off and is lost. Returns the number received: fewer than
   * `count` mean that there were no more. Returns `-EAGAIN` if there were none; another error was pending on the
   * socket, and is now cleared.
   */
  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number
  /**
   * Takes the oldest entry of the error queue. Returns 1, or 0 if there is none. The payload is what ICMP quoted of the
   * packet that the socket sent: behind its UDP header or, for a ping socket, from its ICMP header on. It is in memory
   * of the host's, valid until the next call.
   */
  receiveError(socket: Socket, into: SocketError): number
  /**
   * Sets the IPv4 time to live or IPv6 hop limit of what a connected socket sends from now on; 0 restores the host's
   * default.
   */
  setHopLimit(socket: Socket, isV4: boolean, hopLimit: number): number
  /**
   * Sets the IPv4 type of service or IPv6 traffic class, 0–255, of what a connected socket sends from now on. For a TCP
   * socket, the two ECN bits stay as they are. The host may refuse some classes: `-EPERM`.
   */
  setTrafficClass(socket: Socket, isV4: boolean, trafficClass: number): number
  /**
   * Sets whether datagrams sent from now on may be fragmented. One that may not, and is too large for the host's own
   * link, is refused with `-EMSGSIZE`, and the link's MTU is put in the error queue. Routers report what is too large
   * further on.
   */
  setFragmentation(socket: Socket, isV4: boolean, isAllowed: boolean): number

  /**
   * The outcome of {@link Sockets.tcpConnect}: 0 once the socket is connected, `-EINPROGRESS` while that isn't known,
   * else the negated error number, which is no longer pending.
   */
  connectOutcome(socket: Socket): number
  /** Takes the pending error of a socket. Returns 0 or a negated error number. */
  socketError(socket: Socket): number
  /** Fills in the forwarding end of `demiflow` with the address and port that the socket is bound to. */
  boundEnd(socket: Socket, demiflow: Demiflow): number
  /** Closes a socket. It has no events afterwards. */
  close(socket: Socket): void
}
