/**
 * The host side: ordinary sockets, behind an interface.
 *
 * `@demiflow/sys` implements it with the Linux kernel, `@demiflow/testkit` in memory. Nothing here throws: a call answers
 * a number, and a negative one is a negated error number ({@link Errno}). Payload is named by arena vectors. A socket
 * belongs to a side of a flow; the flow's handler gets its events as {@link HostEvent} bits, edge
 * triggered: once when something changes, so that a handler carries on until a call answers "would block". An event may
 * be spurious: what counts is what the next call says.
 */
import { Address } from "./address.ts"
import type { Arena, Vectors } from "./arena.ts"
import type { Demiflow } from "./demiflow.ts"
import type { SideRef } from "./flow-table.ts"
import type { ListenerRef, ListeningEnd } from "./listener.ts"

declare const brand: unique symbol

/** An open socket, 0 or above; a negative value is a negated error number. */
export type Socket = number & { readonly [brand]: true }

/** No socket. */
export const NO_SOCKET: Socket = -1 as Socket

/** Linux error numbers that protocols tell apart. */
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

/** What happened on a socket, in the values of Linux' epoll. */
export const HostEvent = {
  readable: 0x001,
  /**
   * A byte is marked as urgent (RFC 9293, section 3.8.5). It is read like the others, but reading stops before it: less than
   * was asked for, or nothing, does not mean that there is no more. Discarding what comes before helps in any case.
   */
  urgent: 0x002,
  writable: 0x004,
  error: 0x008,
  /** Both directions have ended. */
  hangUp: 0x010,
  /** The correspondent will send nothing more. */
  readEnd: 0x2000,
} as const

/** What the kernel knows of a TCP connection. */
export interface TcpInformation {
  /** Smallest round-trip time seen, microseconds. */
  minimumRtt: number
  /** Smoothed round-trip time, microseconds. */
  rtt: number
  /** Bytes that the correspondent has acknowledged since the connection began; modulo 2^53. */
  bytesAcknowledged: number
  /** Window that the correspondent advertises, bytes; -1 where the kernel doesn't tell. */
  sendWindow: number
  /** Bytes that the correspondent's segments carry at most. */
  sendMss: number
  /** Bytes handed to the kernel that it has not sent yet; -1 where the kernel doesn't tell. */
  notSentBytes: number
  /** Milliseconds since anything was received from the correspondent's kernel, be it an acknowledgement. */
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
  /** The router or host that reported it, as the host knows it; unspecified if the host itself did. */
  readonly reporter: Address
  /** Address of the host's own that the report came to, from which the packet left; unspecified if the socket doesn't say. */
  readonly source: Address
  /** Destination of the packet that caused it. */
  readonly destination: Address
  destinationPort: number
  /** Where the start of the payload that caused it was put, as an arena offset, and how many bytes of it. */
  payloadOffset: number
  payloadLength: number
}

/** An entry for {@link Host.receiveError} to fill in. */
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
 * Datagrams in the arena, to be sent or to be received into. Where they lie is the caller's choice in both directions:
 * what is received goes straight behind room for the headers that it will be passed on with.
 */
export class DatagramBatch {
  readonly capacity: number
  /** How many entries the owner has filled; for the owner's use, the host neither reads nor sets it. */
  count = 0
  /**
   * Marks (`packet-marks.ts`) with whose hop limit and traffic class all entries leave by {@link Host.sendDatagramsTo}; with 0, or
   * without a hop limit, as the host is set up. Set by the caller, and read by no other call.
   */
  marks = 0
  /** Arena offset of the payload. Set by the caller. */
  readonly offset: Int32Array
  /** Payload bytes. Before receiving: room for them. */
  readonly length: Int32Array
  /** Payload bytes of each datagram where several of one size (the last may be shorter) were left together, else 0. */
  readonly segmentSize: Int32Array
  /** IPv4 type of service or IPv6 traffic class of what was received; not read for sending. */
  readonly trafficClass: Uint8Array
  /**
   * Set by {@link Host.receiveFromAnyone}: index of the interface on which a correspondent's link-local address is, as
   * {@link Host.sendDatagramsTo} wants it back: 0 for the one that such addresses are on unless said otherwise. A link-local
   * address is another node's on each link (RFC 4007, section 6). Else 0.
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

/** Sockets of the host. */
export interface Host {
  /** Sockets that it has for all that use it; absent: it knows no limit. Protocols keep to shares of it. */
  readonly mostSockets?: number

  readonly arena: Arena

  /**
   * Begins to connect, without blocking, to the demiflow's correspondent end, from its forwarding end as far as that is
   * given. Connections to several correspondents may have one forwarding end. The outcome is reported by an event on the side:
   * writable, then {@link Host.socketError}.
   *
   * @param hopLimit of what is sent, from the SYN on; the host's default if 0 or not given
   * @param trafficClass of what is sent, without ECN; 0 if not given
   * @param queuesErrors what routers report is queued for {@link Host.receiveError}, up to {@link Host.stopQueuingErrors};
   *   the payload there is the quoted TCP header
   */
  tcpConnect(
    side: SideRef,
    demiflow: Demiflow,
    hopLimit?: number,
    trafficClass?: number,
    queuesErrors?: boolean,
  ): Socket
  /**
   * Once a TCP socket is connected: what routers report is the kernel's business from now on. While it is queued, it counts
   * as an error of the connection as well, which no report may end (RFC 1122, section 4.2.3.9).
   */
  stopQueuingErrors(socket: Socket, isV4: boolean): void
  /** Listens for connections. An event of the listener says that one waits. */
  tcpListen(listener: ListenerRef, end: ListeningEnd): Socket
  /**
   * Takes a connection that waits at a listening socket, and fills in both ends of `demiflow`: forwarding is what the
   * correspondent connected to. `-EAGAIN` if none waits. The socket has no events before {@link Host.watch}.
   */
  tcpAccept(listening: Socket, demiflow: Demiflow): Socket
  /** Connections that wait at a listening socket, or a negated error number. */
  connectionsWaiting(listening: Socket): number
  /** Traffic class of the SYN that began an accepted connection; 0 if the host doesn't know. To be asked once. */
  acceptedTrafficClass(socket: Socket): number
  /** From here on the side gets the events of an accepted socket, those included that hold already; 0 or negative. */
  watch(socket: Socket, side: SideRef): number
  /** Hands over payload; answers the bytes taken. */
  send(socket: Socket, vectors: Vectors, first: number, count: number): number
  /**
   * Copies payload that has arrived, beginning `skip` bytes after the first that was not discarded, and leaves it where
   * it is. Answers the bytes copied, all there are or as many as there is room for (but see {@link HostEvent.urgent}); 0 at
   * the end of what the correspondent sends; `-EAGAIN` if there is none yet.
   */
  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number
  /** Drops the first `length` bytes of what has arrived. */
  discard(socket: Socket, length: number): number
  /** Bytes sent that the correspondent has not acknowledged, those not yet transmitted included. */
  unacknowledged(socket: Socket): number
  /** Bytes that have arrived and were not discarded. */
  unread(socket: Socket): number
  /** Size of the send buffer as the kernel accounts for it (bytes, overhead included). */
  sendBufferSize(socket: Socket): number
  /** Fills `into`; 0, or a negated error number. */
  tcpInformation(socket: Socket, into: TcpInformation): number
  /**
   * Sets how long the correspondent may be silent before the host asks whether it is still there (a keep-alive, RFC 9293,
   * section 3.8.4): asked at once if it has been silent for so long. Every TCP socket begins with the host's default. An
   * answer shows as {@link TcpInformation.silence}; a reset, or no answer to several questions, ends the connection by an
   * error. Several are 127 if a time is set, each call that has the host ask at once among them. While the correspondent has
   * data to acknowledge, the host doesn't ask: retransmissions find the same out.
   *
   * @param idle seconds, 1–32,767; 0 restores the host's default
   */
  keepAlive(socket: Socket, idle: number): number
  /**
   * Asks the correspondent whether it is still there, at once, if it has been silent for a second. From then on the caller
   * asks and gives up: the host asks no more by itself (for nine hours), and up to 126 questions without an answer don't end
   * the connection; unless the host was made to give up sooner than systems do, then its limits hold. {@link Host.keepAlive}
   * with 0 restores the host's default.
   */
  askCorrespondent(socket: Socket): number
  /** Says that we send nothing more; what was handed over is still delivered. */
  shutdownWrite(socket: Socket): number
  /** Closes a TCP socket by a reset instead of an orderly end. */
  reset(socket: Socket): void

  /**
   * A UDP socket connected to the demiflow's correspondent end: only that end is heard. Errors that routers or the
   * correspondent report are queued for {@link Host.receiveError}. Datagrams received may come several together.
   */
  udpOpen(side: SideRef, demiflow: Demiflow): Socket
  /**
   * A UDP socket at the demiflow's forwarding end, shared with no other socket of the host, that sends to anybody and hears
   * anybody: by {@link Host.sendDatagramsTo} and {@link Host.receiveFromAnyone}. Of the correspondent, it matters only whether
   * its address is a loopback one, see {@link Host.separatesLoopback}. Errors are queued as for {@link Host.udpOpen}.
   */
  udpBind(side: SideRef, demiflow: Demiflow): Socket
  /** Listens for datagrams from anybody, as {@link Host.udpBind}. An event of the listener says that some wait. */
  udpListen(listener: ListenerRef, end: ListeningEnd): Socket
  /** True if a socket that reaches the outside doesn't reach the host's loopback: it is held to an interface. */
  separatesLoopback(isV4: boolean): boolean
  /** This side gets the events of the socket from now on. */
  handOver(socket: Socket, side: SideRef): void
  /**
   * As {@link Host.receiveDatagrams}, for a socket from {@link Host.udpBind}, {@link Host.udpListen} or {@link Host.pingBind}:
   * fills in the correspondent end of `ends[i]`, and the batch's `scope`, for datagram `i`. Of a socket that listens, the
   * forwarding end as well: the address there is that which the host would answer from.
   */
  receiveFromAnyone(socket: Socket, batch: DatagramBatch, ends: readonly Demiflow[], count: number): number
  /**
   * As {@link Host.sendDatagrams}, for such a socket: all entries go to the demiflow's correspondent end, from its forwarding
   * address unless that is unspecified, with the batch's marks. Groups may be correspondents as well.
   *
   * @param scope index of the interface on which link-local addresses of the demiflow are; 0: the one that all are on
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
   * A ping socket (icmp(7), `IPPROTO_ICMP` datagrams) of the demiflow's version of IP, at its forwarding end: the port there is
   * the identifier, or 0 for one of the host's choice. As with {@link Host.udpBind}, no other socket of that version shares it, and
   * requests go to anybody, by {@link Host.sendDatagramsTo}; of the correspondent, only loopback matters. `-EADDRINUSE` if the
   * identifier is in use; a host may count those of both versions as one, but for its own sockets.
   *
   * What is sent and received are whole ICMP or ICMPv6 messages, from the type on; the host puts identifier and checksum into
   * those that it sends. Only echo replies with that identifier are received, from anybody: {@link Host.receiveFromAnyone}
   * says from whom (the port is of no meaning). `-EACCES` or `-EPERM` where the host forbids ping sockets. For a socket that
   * is opened only to find that out, `side` is `NO_SIDE`: it has no events.
   */
  pingBind(side: SideRef, demiflow: Demiflow): Socket
  /**
   * Sends entries `first` to `first + count - 1`, those with a segment size as several datagrams: how many they may be, or
   * how long, is the host's own affair, which sends apart what its kernel or device doesn't cut. Answers how many entries
   * were taken, or, if the first was not, its negated error number: call again from the first that wasn't taken to learn
   * why. Of an entry that is sent apart, the datagrams before the one that was refused are gone: `offset`, `length` and
   * `segmentSize` are those of the rest. An error that is pending on the socket is answered in this way as well, and cleared:
   * the datagram was not sent then, but may be when offered again.
   */
  sendDatagrams(socket: Socket, batch: DatagramBatch, first: number, count: number): number
  /**
   * Receives up to `count` datagrams into entries from index 0. The caller has set `offset` and, in `length`, the room
   * there; the host replaces `length` by the datagram's own length and sets `segmentSize` and `trafficClass`. A length above
   * the room means that the datagram's end was cut off and is lost. Answers how many were received: fewer than `count` mean
   * that there were no more; `-EAGAIN` if there were none; another error is one pending on the socket, now cleared.
   */
  receiveDatagrams(socket: Socket, batch: DatagramBatch, count: number): number
  /**
   * Takes the oldest entry of the error queue; 1, or 0 if there is none. The payload is what ICMP quoted of the packet
   * that the socket sent, behind its UDP header or, for a ping socket, from its ICMP header on. It is in space of the
   * host's own, valid until the next call.
   */
  receiveError(socket: Socket, into: SocketError): number
  /** IPv4 time to live or IPv6 hop limit of what a connected socket sends from now on; 0 restores the host's default. */
  setHopLimit(socket: Socket, isV4: boolean, hopLimit: number): number
  /**
   * IPv4 type of service or IPv6 traffic class of what a connected socket sends from now on, 0–255. Of a TCP socket the two bits of ECN stay
   * as they are. The host may refuse some classes: `-EPERM`.
   */
  setTrafficClass(socket: Socket, isV4: boolean, trafficClass: number): number
  /**
   * Whether datagrams sent from now on may be fragmented. Those that may not and are too large for the host's own link are
   * refused with `-EMSGSIZE`, and its MTU is in the error queue; what is too large further on is reported by routers.
   */
  setFragmentation(socket: Socket, isV4: boolean, isAllowed: boolean): number

  /** Takes the pending error of a socket: 0 or a negated error number. */
  socketError(socket: Socket): number
  /** Fills the forwarding end of `demiflow` with the address and port that the socket is bound to. */
  boundEnd(socket: Socket, demiflow: Demiflow): number
  /** Closes a socket. It has no events afterwards. */
  close(socket: Socket): void
}
