import { type Arena, Errno } from "@demiflow/core"
import { AddressFamily, MessageFlag, SocketLevel, SocketOption, SocketType } from "../constants.ts"
import { checkResult, SystemError } from "../errno.ts"
import { type NetworkNamespace, VisitedNamespace } from "../namespace/network-namespace.ts"
import type { Native } from "../native.ts"
import { ErrorAttribute, MessageType, NetlinkFlag, NetlinkProtocol, NetlinkSocketOption } from "./constants.ts"
import { attributes, HEADER_BYTES, MACHINE_ORDER, type Message, MessageWriter, messages, textOf } from "./message.ts"

/** Larger than any message of a dump: the kernel fills at most 32 KiB. */
const BUFFER_BYTES = 64 * 1024
/** Answers come within microseconds. The timeout only prevents a hang should the kernel break the rules. */
const TIMEOUT_SECONDS = 5
/** Attempts at a dump that the kernel marks as inconsistent (NLM_F_DUMP_INTR). */
const ATTEMPTS = 10
/** Most datagrams dropped of an answer that wasn't read to its end, and most skipped before the answer to a request. */
const MOST_DROPPED = 1000
/**
 * Sequence numbers have 32 bits. They wrap around soon after the start, not months later, so that wrapping is known to
 * work.
 */
const FIRST_SEQUENCE_NUMBER = 0xffff_fff0
/** Bytes of `struct sockaddr_nl`: family, padding, port, groups. The kernel's port is 0. */
const ADDRESS_BYTES = 12

/** Arena bytes that a {@link NetlinkSocket} reserves. */
export const NETLINK_ARENA_BYTES: number = BUFFER_BYTES + 256

/**
 * A netlink socket for requests about one network namespace. Each request blocks until it is answered, which is at
 * once.
 */
export class NetlinkSocket {
  readonly #native: Native
  readonly #namespace: NetworkNamespace
  readonly #view: DataView
  readonly #descriptor: number
  readonly #buffer: number
  readonly #vectors: number
  readonly #words: Int32Array
  readonly #writer: MessageWriter
  #sequenceNumber = FIRST_SEQUENCE_NUMBER

  /**
   * @param namespace this process's own if absent
   * @param protocol a `NetlinkProtocol`
   */
  constructor(
    native: Native,
    arena: Arena,
    namespace: NetworkNamespace = new VisitedNamespace(native, arena),
    protocol: number = NetlinkProtocol.route,
  ) {
    this.#native = native
    this.#namespace = namespace
    this.#view = arena.view
    this.#words = arena.words
    this.#buffer = arena.reserve(BUFFER_BYTES, 16, "a netlink socket")
    this.#vectors = arena.reserve(16, 8, "a netlink socket")
    this.#writer = new MessageWriter(this.#view, this.#buffer, BUFFER_BYTES)
    this.#descriptor = checkResult(
      namespace.socket(AddressFamily.netlink, SocketType.raw, protocol),
      "open a netlink socket",
    )
    this.#setOptions()
    this.#connect()
  }

  /**
   * Sends a request and waits for its acknowledgement. Throws {@link SystemError}, with the kernel's explanation if
   * there is one.
   *
   * @param action what was attempted, as in "Could not …"
   * @param flags `NetlinkFlag` bits beyond those that every request has
   * @param write writes what follows the header
   */
  request(action: string, type: number, flags: number, write: (writer: MessageWriter) => void): void {
    const length = this.#write(type, flags | NetlinkFlag.acknowledge, write)
    // The kernel checks the privileges of the process that sends the change: netlink(7).
    checkResult(this.#namespace.write(this.#descriptor, this.#buffer, length), action)
    this.#receive(action, () => {})
  }

  /**
   * Sends a request with a single message as its answer, and passes that message on. Returns 0, or the kernel's negated
   * error number. Throws {@link SystemError} if the kernel doesn't answer.
   *
   * @param action what was attempted, as in "Could not …"
   */
  ask(
    action: string,
    type: number,
    write: (writer: MessageWriter) => void,
    take: (view: DataView, message: Message) => void,
  ): number {
    this.#send(action, type, 0, write)
    return this.#receiveOne(action, take)
  }

  /**
   * Sends a request for a list. Returns what `parse` makes of each message, leaving out undefined. Throws
   * {@link SystemError}.
   *
   * @param action what was attempted, as in "Could not …"
   */
  list<Item>(
    action: string,
    type: number,
    write: (writer: MessageWriter) => void,
    parse: (view: DataView, message: Message) => Item | undefined,
  ): Item[] {
    for (let attempt = 1; ; attempt++) {
      const items: Item[] = []
      const isWhole = this.dump(action, type, write, (view, message) => {
        const item = parse(view, message)
        if (item !== undefined) items.push(item)
      })
      if (isWhole || attempt === ATTEMPTS) return items
    }
  }

  /**
   * Sends a request for a list and passes each message of the answer on. Returns false if the kernel reports that the
   * list changed during the dump, so that it may match neither the state before nor the one after: rtnetlink reports
   * that, sock_diag isn't known to. Throws {@link SystemError}; the messages passed on before are then a part of the
   * list.
   *
   * @param action what was attempted, as in "Could not …"
   */
  dump(
    action: string,
    type: number,
    write: (writer: MessageWriter) => void,
    take: (view: DataView, message: Message) => void,
  ): boolean {
    try {
      this.#send(action, type, NetlinkFlag.dump, write)
      return this.#receive(action, (message) => take(this.#view, message))
    } catch (error) {
      this.#dropAnswers()
      throw error
    }
  }

  /**
   * Joins a group, whose messages {@link NetlinkSocket.readNotices} then reads. Such a socket can't be used for
   * anything else. Throws {@link SystemError}.
   *
   * @param group a `NetlinkGroup`
   * @returns the descriptor, which is readable when there are messages
   */
  join(group: number): number {
    const { level, addMembership } = NetlinkSocketOption
    const result = this.#native.setOptionInteger(this.#descriptor, level, addMembership, group)
    checkResult(result, "subscribe to changes by netlink")
    return this.#descriptor
  }

  /**
   * Passes on messages of the joined group, from at most `most` datagrams. Returns the number of datagrams, fewer than
   * `most` if no more wait; or a negated error number: ENOBUFS if messages were lost.
   */
  readNotices(most: number, take: (view: DataView, message: Message) => void): number {
    for (let count = 0; count < most; count++) {
      this.#setVector(BUFFER_BYTES)
      const length = this.#native.receiveVectors(this.#descriptor, this.#vectors, 1, MessageFlag.doNotWait)
      if (length < 0) return length === -Errno.EAGAIN ? count : length
      for (const message of messages(this.#view, this.#buffer, length)) take(this.#view, message)
    }
    return most
  }

  close(): void {
    this.#native.close(this.#descriptor)
  }

  #setOptions(): void {
    const { level, capAcknowledgements, extendedAcknowledgements, strictChecking } = NetlinkSocketOption
    // Better messages and shorter lists. Old kernels lack some of these options, and work without.
    for (const option of [capAcknowledgements, extendedAcknowledgements, strictChecking]) {
      this.#native.setOptionInteger(this.#descriptor, level, option, 1)
    }
    // A struct timeval: seconds and microseconds, 64 bits each.
    this.#view.setBigInt64(this.#buffer, BigInt(TIMEOUT_SECONDS), MACHINE_ORDER)
    this.#view.setBigInt64(this.#buffer + 8, 0n, MACHINE_ORDER)
    this.#native.setOption(this.#descriptor, SocketLevel.socket, SocketOption.receiveTimeout, this.#buffer, 16)
  }

  /** From now on only the kernel can send to us. Otherwise any process with privileges inside the namespace could. */
  #connect(): void {
    this.#view.setUint16(this.#buffer, AddressFamily.netlink, MACHINE_ORDER)
    for (let at = 2; at < ADDRESS_BYTES; at += 2) this.#view.setUint16(this.#buffer + at, 0, MACHINE_ORDER)
    const result = this.#native.connect(this.#descriptor, this.#buffer, ADDRESS_BYTES)
    if (result < 0) this.close()
    checkResult(result, "connect a netlink socket")
    // Drops what arrived before that.
    this.#dropAnswers()
  }

  #send(action: string, type: number, flags: number, write: (writer: MessageWriter) => void): void {
    this.#setVector(this.#write(type, flags, write))
    checkResult(this.#native.sendVectors(this.#descriptor, this.#vectors, 1, 0), action)
  }

  /** Writes a request. Returns its length. */
  #write(type: number, flags: number, write: (writer: MessageWriter) => void): number {
    this.#sequenceNumber = (this.#sequenceNumber + 1) >>> 0
    this.#writer.begin(type, flags | NetlinkFlag.request)
    write(this.#writer)
    return this.#writer.finish(this.#sequenceNumber)
  }

  /** Passes messages on until the last one. Returns false if the kernel marks them as inconsistent. */
  #receive(action: string, take: (message: Message) => void): boolean {
    let isWhole = true
    for (let dropped = 0; dropped <= MOST_DROPPED; ) {
      let isAnswer = false
      for (const message of this.#read(action)) {
        if (message.sequenceNumber !== this.#sequenceNumber) continue
        isAnswer = true
        if (message.flags & NetlinkFlag.interrupted) isWhole = false
        if (message.type === MessageType.error || message.type === MessageType.done) {
          this.#checkEnd(action, message)
          return isWhole
        }
        take(message)
      }
      if (!isAnswer) dropped++
    }
    throw new SystemError(action, 71, "the kernel answers something else")
  }

  /** Passes on the answer to a request. Returns 0, or the negated error number that came instead. */
  #receiveOne(action: string, take: (view: DataView, message: Message) => void): number {
    for (let dropped = 0; dropped <= MOST_DROPPED; dropped++) {
      for (const message of this.#read(action)) {
        if (message.sequenceNumber !== this.#sequenceNumber) continue
        if (message.type === MessageType.error) return this.#resultIn(message)
        take(this.#view, message)
        return 0
      }
    }
    throw new SystemError(action, 71, "the kernel answers something else")
  }

  /** The next datagram of messages. */
  #read(action: string): Iterable<Message> {
    this.#setVector(BUFFER_BYTES)
    // With this flag the result is the message's full length, even if it did not fit.
    const length = this.#native.receiveVectors(this.#descriptor, this.#vectors, 1, MessageFlag.truncate)
    checkResult(length, action)
    if (length > BUFFER_BYTES) throw new SystemError(action, 90, "the kernel's answer is too long")
    return messages(this.#view, this.#buffer, length)
  }

  /** The kernel refuses a new dump while an earlier one is still unread (EBUSY). */
  #dropAnswers(): void {
    for (let dropped = 0; dropped < MOST_DROPPED; dropped++) {
      this.#setVector(BUFFER_BYTES)
      if (this.#native.receiveVectors(this.#descriptor, this.#vectors, 1, MessageFlag.doNotWait) < 0) return
    }
  }

  /** The last message begins with a result, zero or a negated error number. */
  #checkEnd(action: string, message: Message): void {
    const result = this.#resultIn(message)
    if (result < 0) throw new SystemError(action, result, this.#explanation(message))
  }

  #resultIn({ offset, end }: Message): number {
    return end - offset < 4 ? 0 : this.#view.getInt32(offset, MACHINE_ORDER)
  }

  #explanation(message: Message): string | undefined {
    if (!(message.flags & NetlinkFlag.attributesFollow)) return undefined
    let offset = message.offset + 4
    if (message.type === MessageType.error) {
      const requestLength = this.#view.getUint32(offset, MACHINE_ORDER)
      offset += message.flags & NetlinkFlag.capped ? HEADER_BYTES : requestLength
    }
    const text = textOf(this.#view, attributes(this.#view, offset, message.end).get(ErrorAttribute.message))
    return text === undefined ? undefined : `the kernel says: ${text}`
  }

  #setVector(length: number): void {
    this.#words[this.#vectors >> 2] = this.#buffer
    this.#words[(this.#vectors >> 2) + 1] = length
  }
}
