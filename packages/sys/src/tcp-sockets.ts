/**
 * TCP sockets of the host.
 *
 * Payload towards the guest stays in the kernel's receive queue until the guest has acknowledged it: it is peeked as
 * often as needed, and discarded afterwards. With SO_PEEK_OFF (Linux 6.9 for IPv4, 6.12 for IPv6) the kernel starts
 * copying at a given offset; before that, what was peeked earlier is copied once more and thrown away. The kernel moves
 * its offset by itself, forward by what was peeked and back by what was discarded (`sk_peek_offset_fwd` and `_bwd`;
 * verified by `tcp-sockets.test.ts`), so the option is set only after a jump.
 */
import { type Arena, Errno, type Socket, type TcpInformation, Vectors } from "@demiflow/core"
import {
  AddressFamily,
  MessageFlag,
  Shutdown,
  SocketLevel,
  SocketOption,
  SocketRequest,
  SocketType,
  TcpOption,
} from "./constants.ts"
import type { Native } from "./native.ts"

const PEEK = MessageFlag.peek | MessageFlag.doNotWait
/** `struct tcp_info`, <linux/tcp.h>: append-only. */
const INFORMATION_BYTES = 256
const TCPI_STATE = 0
/** For a listening socket, this field is the number of waiting connections. */
const TCPI_UNACKNOWLEDGED = 24
const TCPI_SEND_MSS = 16
const TCPI_LAST_DATA_RECEIVED = 52
const TCPI_LAST_ACKNOWLEDGEMENT_RECEIVED = 56
const TCPI_RTT = 68
const TCPI_BYTES_ACKNOWLEDGED = 120
const TCPI_BYTES_RECEIVED = 128
const TCPI_NOT_SENT_BYTES = 144
const TCPI_MINIMUM_RTT = 148
const TCPI_SEND_WINDOW = 228
/** States before a connection is established: SYN_SENT, SYN_RECV. */
const CONNECTING_STATES = (1 << 2) | (1 << 3)
/** State of a socket whose connect has failed, or that a reset has ended. */
const CLOSED_STATE = 7
/** States in which the correspondent's FIN has been received: TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING. */
const STATES_AFTER_FIN = (1 << 6) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 11)

/** Stored in place of the kernel's peek offset: never set (the kernel's is 0), or unavailable. */
const PEEK_UNSET = -1
const PEEK_UNSUPPORTED = -2

const SKIPPED_BYTES = 65_536
const MAXIMUM_VECTORS = 1024

/**
 * The kernel's keep-alive: seconds of silence before the first probe, seconds between probes, number of probes
 * (tcp(7)).
 */
interface KeepAlive {
  readonly idle: number
  readonly interval: number
  readonly count: number
}

/** Seconds of silence before the first probe: the shortest that the kernel allows. */
const ASK_NOW = 1
/** Probes at once, then at the longest interval and the highest count that the kernel allows. */
const PATIENT_KEEP_ALIVE: KeepAlive = { idle: ASK_NOW, interval: 32_767, count: 127 }
/** Linux's defaults (`net.ipv4.tcp_keepalive_*`). */
const USUAL_KEEP_ALIVE: KeepAlive = { idle: 7_200, interval: 75, count: 9 }

/** Reads the keep-alive of a new socket. */
function readKeepAlive(native: Native): KeepAlive {
  let descriptor = native.socket(AddressFamily.ipv4, SocketType.stream, 0)
  if (descriptor < 0) descriptor = native.socket(AddressFamily.ipv6, SocketType.stream, 0)
  if (descriptor < 0) return USUAL_KEEP_ALIVE
  const read = (option: number): number => native.getOptionInteger(descriptor, SocketLevel.tcp, option)
  const found = {
    idle: read(TcpOption.keepIdle),
    interval: read(TcpOption.keepInterval),
    count: read(TcpOption.keepCount),
  }
  native.close(descriptor)
  return found
}

/** Checks whether this kernel can peek at an offset, for TCP sockets of this family. */
export function probePeekOffset(native: Native, family: number): boolean {
  const descriptor = native.socket(family, SocketType.stream, 0)
  if (descriptor < 0) return false
  const result = native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.peekOffset, 0)
  native.close(descriptor)
  return result === 0
}

/** The TCP part of core's `Sockets`. */
export class TcpSockets {
  readonly #native: Native
  readonly #arena: Arena
  readonly #informationOffset: number
  readonly #lingerOffset: number
  readonly #peekStartV4: number
  readonly #peekStartV6: number
  /** The kernel's peek offset, by descriptor. */
  #peekOffsets = new Int32Array(64)
  /** For kernels without SO_PEEK_OFF. */
  readonly #skipping: Vectors | undefined
  readonly #skippedOffset: number = 0
  /** The keep-alive of a new socket (`net.ipv4.tcp_keepalive_time` and so on). */
  readonly #defaults: KeepAlive

  /** @param usePeekOffset false to not use SO_PEEK_OFF even where the kernel has it */
  constructor(native: Native, arena: Arena, usePeekOffset: boolean) {
    this.#native = native
    this.#arena = arena
    this.#informationOffset = arena.reserve(INFORMATION_BYTES, 8, "the sockets of Linux")
    this.#lingerOffset = arena.reserve(8, 8, "the sockets of Linux")
    arena.view.setInt32(this.#lingerOffset, 1, true)
    arena.view.setInt32(this.#lingerOffset + 4, 0, true)
    this.#defaults = readKeepAlive(native)
    const hasV4 = usePeekOffset && probePeekOffset(native, AddressFamily.ipv4)
    const hasV6 = usePeekOffset && probePeekOffset(native, AddressFamily.ipv6)
    this.#peekStartV4 = hasV4 ? PEEK_UNSET : PEEK_UNSUPPORTED
    this.#peekStartV6 = hasV6 ? PEEK_UNSET : PEEK_UNSUPPORTED
    if (hasV4 && hasV6) return
    this.#skipping = new Vectors(arena, MAXIMUM_VECTORS)
    this.#skippedOffset = arena.reserve(SKIPPED_BYTES, 64, "the sockets of Linux")
  }

  /** Sets a new socket up. */
  adopt(socket: number, isV4: boolean): void {
    this.setOptions(socket)
    this.adoptAccepted(socket, isV4)
  }

  /** Sets options of a listening socket, which the sockets that it accepts inherit. */
  setListeningOptions(socket: number): void {
    this.setOptions(socket)
    // The kernel keeps the headers of each SYN until they are read.
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.saveSyn, 1)
  }

  /** Sets options of a socket. */
  setOptions(socket: number): void {
    // The guest's TCP has decided already what goes into one segment.
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.noDelay, 1)
    // Otherwise an urgent byte would be missing from the stream, and offsets after it would be wrong.
    this.#native.setOptionInteger(socket, SocketLevel.socket, SocketOption.urgentInLine, 1)
    // Otherwise a correspondent that vanished silently would never be noticed.
    this.#native.setOptionInteger(socket, SocketLevel.socket, SocketOption.keepAlive, 1)
  }

  /**
   * Sets up a socket that was accepted from one with {@link TcpSockets.setListeningOptions}.
   *
   * @param isV4 the socket's own family: that of a dual-stack socket is IPv6 for all connections
   */
  adoptAccepted(socket: number, isV4: boolean): void {
    if (socket >= this.#peekOffsets.length) {
      const larger = new Int32Array(Math.max(socket + 1, this.#peekOffsets.length * 2))
      larger.set(this.#peekOffsets)
      this.#peekOffsets = larger
    }
    this.#peekOffsets[socket] = isV4 ? this.#peekStartV4 : this.#peekStartV6
  }

  send(socket: Socket, vectors: Vectors, first: number, count: number): number {
    return this.#native.sendVectors(socket, vectors.offset + first * 8, count, MessageFlag.doNotWait)
  }

  peek(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    const at = this.#peekOffsets[socket]
    if (at === PEEK_UNSUPPORTED && skip > 0) return this.#peekBehind(socket, vectors, first, count, skip)
    if (at !== skip && (at >= 0 || skip > 0)) {
      const result = this.#native.setOptionInteger(socket, SocketLevel.socket, SocketOption.peekOffset, skip)
      if (result < 0) return result
      this.#peekOffsets[socket] = skip
    }
    const peeked = this.#native.receiveVectors(socket, vectors.offset + first * 8, count, PEEK)
    if (peeked > 0 && this.#peekOffsets[socket] >= 0) this.#peekOffsets[socket] += peeked
    return peeked
  }

  discard(socket: Socket, length: number): number {
    const discarded = this.#native.discard(socket, length)
    const at = this.#peekOffsets[socket]
    if (discarded > 0 && at >= 0) this.#peekOffsets[socket] = Math.max(0, at - discarded)
    return discarded
  }

  /** See core's `Sockets`. The saved SYN is as it was on the wire, from its IP header on. */
  acceptedTrafficClass(socket: Socket): number {
    const at = this.#informationOffset
    const length = this.#native.getOption(socket, SocketLevel.tcp, TcpOption.savedSyn, at, INFORMATION_BYTES)
    if (length < 2) return 0
    const start = this.#arena.view.getUint16(at)
    return start >>> 12 === 4 ? start & 0xff : (start >>> 4) & 0xff
  }

  unacknowledged(socket: Socket): number {
    return this.#native.ioctlGetInteger(socket, SocketRequest.unacknowledged)
  }

  unread(socket: Socket): number {
    return this.#native.ioctlGetInteger(socket, SocketRequest.unread)
  }

  sendBufferSize(socket: Socket): number {
    return this.#native.getOptionInteger(socket, SocketLevel.socket, SocketOption.sendBuffer)
  }

  connectionsWaiting(listening: Socket): number {
    const at = this.#informationOffset
    const length = this.#native.getOption(listening, SocketLevel.tcp, TcpOption.information, at, INFORMATION_BYTES)
    return length < 0 ? length : this.#arena.view.getUint32(at + TCPI_UNACKNOWLEDGED, true)
  }

  tcpInformation(socket: Socket, into: TcpInformation): number {
    const at = this.#informationOffset
    const length = this.#native.getOption(socket, SocketLevel.tcp, TcpOption.information, at, INFORMATION_BYTES)
    if (length < 0) return length
    const { view } = this.#arena
    const has = (field: number, bytes: number): boolean => length >= field + bytes
    into.sendMss = view.getUint32(at + TCPI_SEND_MSS, true)
    into.silence = Math.min(
      view.getUint32(at + TCPI_LAST_DATA_RECEIVED, true),
      view.getUint32(at + TCPI_LAST_ACKNOWLEDGEMENT_RECEIVED, true),
    )
    into.rtt = view.getUint32(at + TCPI_RTT, true)
    into.minimumRtt = has(TCPI_MINIMUM_RTT, 4) ? view.getUint32(at + TCPI_MINIMUM_RTT, true) : into.rtt
    into.bytesAcknowledged = has(TCPI_BYTES_ACKNOWLEDGED, 8) ? this.#readAcknowledged(at) : 0
    into.bytesReceived = has(TCPI_BYTES_RECEIVED, 8) ? this.#readLarge(at + TCPI_BYTES_RECEIVED) : -1
    into.notSentBytes = has(TCPI_NOT_SENT_BYTES, 4) ? view.getUint32(at + TCPI_NOT_SENT_BYTES, true) : -1
    into.sendWindow = has(TCPI_SEND_WINDOW, 4) ? view.getUint32(at + TCPI_SEND_WINDOW, true) : -1
    return 0
  }

  /** See core's `Sockets.keepAlive`. If the time has passed already, setting it makes the kernel probe at once. */
  keepAlive(socket: Socket, idle: number): number {
    if (idle > 0) return this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepIdle, idle)
    return this.#setKeepAlive(socket, this.#defaults)
  }

  /**
   * See core's `Sockets.askCorrespondent`. The kernel counts every probe, including those that setting the time causes.
   */
  askCorrespondent(socket: Socket): number {
    const { interval, count } = this.#defaults
    // An administrator who made the kernel give up sooner wants exactly that.
    const isShortened = interval * count < USUAL_KEEP_ALIVE.interval * USUAL_KEEP_ALIVE.count
    return this.#setKeepAlive(socket, isShortened ? { idle: ASK_NOW, interval, count } : PATIENT_KEEP_ALIVE)
  }

  shutdownWrite(socket: Socket): number {
    return this.#native.shutdown(socket, Shutdown.write)
  }

  /** Makes the following close send a reset (socket(7), SO_LINGER with a time of 0). */
  resetOnClose(socket: Socket): void {
    this.#native.setOption(socket, SocketLevel.socket, SocketOption.linger, this.#lingerOffset, 8)
  }

  #setKeepAlive(socket: Socket, { count, interval, idle }: KeepAlive): number {
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepCount, count)
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepInterval, interval)
    return this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepIdle, idle)
  }

  /** Without SO_PEEK_OFF: reads the bytes to be skipped into one scratch range. */
  #peekBehind(socket: Socket, vectors: Vectors, first: number, count: number, skip: number): number {
    const list = this.#skipping
    if (list === undefined) return -Errno.EINVAL
    let used = 0
    for (let remaining = skip; remaining > 0 && used < list.capacity; remaining -= SKIPPED_BYTES) {
      list.set(used++, this.#skippedOffset, Math.min(remaining, SKIPPED_BYTES))
    }
    for (let index = first; index < first + count && used < list.capacity; index++) {
      list.set(used++, vectors.offsetAt(index), vectors.lengthAt(index))
    }
    const peeked = this.#native.receiveVectors(socket, list.offset, used, PEEK)
    if (peeked < 0) return peeked
    if (peeked > skip) return peeked - skip
    if (!this.#hasEnded(socket)) return -Errno.EAGAIN
    if (this.unread(socket) > skip) return this.#peekLate(socket, list, used, skip)
    // The state is the same after a reset.
    const error = this.#native.getOptionInteger(socket, SocketLevel.socket, SocketOption.error)
    return error > 0 ? -error : error
  }

  /**
   * More data arrived between the peek and the end of the stream; or an urgent mark stops the peek until the bytes
   * before the mark are discarded.
   */
  #peekLate(socket: Socket, list: Vectors, used: number, skip: number): number {
    const peeked = this.#native.receiveVectors(socket, list.offset, used, PEEK)
    if (peeked < 0) return peeked
    return peeked > skip ? peeked - skip : -Errno.EAGAIN
  }

  /** See core's `Sockets.connectOutcome`. */
  connectOutcome(socket: Socket): number {
    const state = this.#stateOf(socket)
    if (state < 0) return state
    if (((CONNECTING_STATES >> state) & 1) === 1) return -Errno.EINPROGRESS
    if (state !== CLOSED_STATE) return 0
    const error = this.#native.getOptionInteger(socket, SocketLevel.socket, SocketOption.error)
    return error > 0 ? -error : -Errno.ECONNRESET
  }

  #hasEnded(socket: Socket): boolean {
    const state = this.#stateOf(socket)
    return state < 0 || ((STATES_AFTER_FIN >> state) & 1) === 1
  }

  /** Returns the kernel's number of a socket's state, or a negated error number. */
  #stateOf(socket: Socket): number {
    const at = this.#informationOffset
    const length = this.#native.getOption(socket, SocketLevel.tcp, TcpOption.information, at, INFORMATION_BYTES)
    if (length <= TCPI_STATE) return length < 0 ? length : -Errno.EINVAL
    return this.#arena.view.getUint8(at + TCPI_STATE)
  }

  /** The kernel counts our SYN as one byte, and our FIN as well. */
  #readAcknowledged(at: number): number {
    return Math.max(0, this.#readLarge(at + TCPI_BYTES_ACKNOWLEDGED) - 1)
  }

  /** Reads a number of 64 bits, modulo 2^53. */
  #readLarge(at: number): number {
    const { view } = this.#arena
    return (view.getUint32(at + 4, true) & 0x1fffff) * 0x1_0000_0000 + view.getUint32(at, true)
  }
}
