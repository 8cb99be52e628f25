/**
 * TCP sockets of the host.
 *
 * Payload towards the guest stays in the kernel's receive queue until the guest has acknowledged it: it is peeked at, as
 * often as needed, and discarded afterwards. With SO_PEEK_OFF (Linux 6.9 for IPv4, 6.12 for IPv6) the kernel begins to
 * copy where it is told; before that, what was peeked before is copied once more, to nowhere. The kernel moves its offset
 * by itself: forward with what was peeked, back with what was discarded (`sk_peek_offset_fwd` and `_bwd`;
 * `tcp-sockets.test.ts` holds it), so that the option is set only after a jump.
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
/** Of a listening socket, how many connections wait. */
const TCPI_UNACKNOWLEDGED = 24
const TCPI_SEND_MSS = 16
const TCPI_LAST_DATA_RECEIVED = 52
const TCPI_LAST_ACKNOWLEDGEMENT_RECEIVED = 56
const TCPI_RTT = 68
const TCPI_BYTES_ACKNOWLEDGED = 120
const TCPI_NOT_SENT_BYTES = 144
const TCPI_MINIMUM_RTT = 148
const TCPI_SEND_WINDOW = 228
/** States in which the correspondent's FIN has been received: TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING. */
const STATES_AFTER_FIN = (1 << 6) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 11)

/** Where the kernel's peek offset is: at an offset, never set (which is 0), or not to be had. */
const PEEK_UNSET = -1
const PEEK_UNSUPPORTED = -2

const SKIPPED_BYTES = 65_536
const MAXIMUM_VECTORS = 1024

/** When and how often a kernel asks: seconds of silence, seconds between questions, questions (tcp(7)). */
interface KeepAlive {
  readonly idle: number
  readonly interval: number
  readonly count: number
}

/** Seconds of silence after which the kernel asks: the shortest that there are. */
const ASK_NOW = 1
/** Asks at once, and then as seldom and as often as the kernel allows. */
const PATIENT_KEEP_ALIVE: KeepAlive = { idle: ASK_NOW, interval: 32_767, count: 127 }
/** Linux' (`net.ipv4.tcp_keepalive_*`). */
const USUAL_KEEP_ALIVE: KeepAlive = { idle: 7_200, interval: 75, count: 9 }

/** What a new socket has. */
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

/** Does this kernel begin to peek at an offset, for TCP sockets of this family? */
export function probePeekOffset(native: Native, family: number): boolean {
  const descriptor = native.socket(family, SocketType.stream, 0)
  if (descriptor < 0) return false
  const result = native.setOptionInteger(descriptor, SocketLevel.socket, SocketOption.peekOffset, 0)
  native.close(descriptor)
  return result === 0
}

/** The calls of core's `Host` that are TCP's. */
export class TcpSockets {
  readonly #native: Native
  readonly #arena: Arena
  readonly #informationOffset: number
  readonly #lingerOffset: number
  readonly #peekStartV4: number
  readonly #peekStartV6: number
  /** By descriptor. */
  #peekOffsets = new Int32Array(1024)
  /** For kernels without peek offset. */
  readonly #skipping: Vectors | undefined
  readonly #skippedOffset: number = 0
  /** How the kernel asks by itself (`net.ipv4.tcp_keepalive_time` and so on). */
  readonly #defaults: KeepAlive

  /** @param usePeekOffset false to do without SO_PEEK_OFF even where the kernel has it */
  constructor(native: Native, arena: Arena, usePeekOffset: boolean) {
    this.#native = native
    this.#arena = arena
    this.#informationOffset = arena.reserve(INFORMATION_BYTES, 8)
    this.#lingerOffset = arena.reserve(8, 8)
    arena.view.setInt32(this.#lingerOffset, 1, true)
    arena.view.setInt32(this.#lingerOffset + 4, 0, true)
    this.#defaults = readKeepAlive(native)
    const hasV4 = usePeekOffset && probePeekOffset(native, AddressFamily.ipv4)
    const hasV6 = usePeekOffset && probePeekOffset(native, AddressFamily.ipv6)
    this.#peekStartV4 = hasV4 ? PEEK_UNSET : PEEK_UNSUPPORTED
    this.#peekStartV6 = hasV6 ? PEEK_UNSET : PEEK_UNSUPPORTED
    if (hasV4 && hasV6) return
    this.#skipping = new Vectors(arena, MAXIMUM_VECTORS)
    this.#skippedOffset = arena.reserve(SKIPPED_BYTES)
  }

  /** Sets a new socket up. */
  adopt(socket: number, isV4: boolean): void {
    this.setOptions(socket)
    this.adoptAccepted(socket, isV4)
  }

  /** Sets options of a listening socket; those that it accepts have them of it. */
  setListeningOptions(socket: number): void {
    this.setOptions(socket)
    // The kernel keeps the header of each SYN, until it is asked for.
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.saveSyn, 1)
  }

  /** Sets options of a socket. */
  setOptions(socket: number): void {
    // The guest's TCP decided already what goes into one segment.
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.noDelay, 1)
    // Otherwise an urgent byte would be missing from the stream, and offsets behind it would be wrong.
    this.#native.setOptionInteger(socket, SocketLevel.socket, SocketOption.urgentInLine, 1)
    // Otherwise a correspondent that has gone without a word would never be missed.
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

  /** As core's `Host`: the SYN is as it was on the wire, from its IP header on. */
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
    into.notSentBytes = has(TCPI_NOT_SENT_BYTES, 4) ? view.getUint32(at + TCPI_NOT_SENT_BYTES, true) : -1
    into.sendWindow = has(TCPI_SEND_WINDOW, 4) ? view.getUint32(at + TCPI_SEND_WINDOW, true) : -1
    return 0
  }

  /** As core's `Host.keepAlive`. Setting the time makes the kernel ask at once where it has passed already. */
  keepAlive(socket: Socket, idle: number): number {
    if (idle > 0) return this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepIdle, idle)
    return this.#setKeepAlive(socket, this.#defaults)
  }

  /** As core's `Host.askCorrespondent`. The kernel counts each question, also those that setting the time brings. */
  askCorrespondent(socket: Socket): number {
    const { interval, count } = this.#defaults
    // An administrator that has made the kernel give up sooner wants just that.
    const isShortened = interval * count < USUAL_KEEP_ALIVE.interval * USUAL_KEEP_ALIVE.count
    return this.#setKeepAlive(socket, isShortened ? { idle: ASK_NOW, interval, count } : PATIENT_KEEP_ALIVE)
  }

  shutdownWrite(socket: Socket): number {
    return this.#native.shutdown(socket, Shutdown.write)
  }

  /** Makes the close that follows a reset (socket(7), SO_LINGER with a time of 0). */
  resetOnClose(socket: Socket): void {
    this.#native.setOption(socket, SocketLevel.socket, SocketOption.linger, this.#lingerOffset, 8)
  }

  #setKeepAlive(socket: Socket, { count, interval, idle }: KeepAlive): number {
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepCount, count)
    this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepInterval, interval)
    return this.#native.setOptionInteger(socket, SocketLevel.tcp, TcpOption.keepIdle, idle)
  }

  /** Without SO_PEEK_OFF: reads what is to be skipped to one and the same place. */
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
    // So it seems after a reset as well.
    const error = this.#native.getOptionInteger(socket, SocketLevel.socket, SocketOption.error)
    return error > 0 ? -error : error
  }

  /** More arrived between the peek and the end; or an urgent mark stops the peek, until what is before it is discarded. */
  #peekLate(socket: Socket, list: Vectors, used: number, skip: number): number {
    const peeked = this.#native.receiveVectors(socket, list.offset, used, PEEK)
    if (peeked < 0) return peeked
    return peeked > skip ? peeked - skip : -Errno.EAGAIN
  }

  #hasEnded(socket: Socket): boolean {
    const at = this.#informationOffset
    const length = this.#native.getOption(socket, SocketLevel.tcp, TcpOption.information, at, INFORMATION_BYTES)
    if (length <= TCPI_STATE) return true
    return ((STATES_AFTER_FIN >> this.#arena.view.getUint8(at + TCPI_STATE)) & 1) === 1
  }

  /** The kernel counts our SYN as one byte (and our FIN). */
  #readAcknowledged(at: number): number {
    const { view } = this.#arena
    const low = view.getUint32(at + TCPI_BYTES_ACKNOWLEDGED, true)
    const high = view.getUint32(at + TCPI_BYTES_ACKNOWLEDGED + 4, true) & 0x1fffff
    return Math.max(0, high * 0x1_0000_0000 + low - 1)
  }
}
