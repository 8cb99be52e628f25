/**
 * Messages on the socket of a front end, with their descriptors.
 *
 * A message may arrive in pieces, and never more of the stream is read than the rest of one message: the kernel passes
 * descriptors with the first byte of what they were sent with, so they can't be taken for those of another message. No
 * call blocks.
 */
import { type Arena, Errno, Vectors } from "@demiflow/core"
import {
  CONTROL_HEADER_BYTES,
  controlSpace,
  findControlMessage,
  MessageFlag,
  MessageTable,
  type Native,
  SocketLevel,
} from "@demiflow/sys"
import { LONGEST_PAYLOAD, MESSAGE_DESCRIPTORS, MESSAGE_HEADER_BYTES, MessageBit } from "./messages.ts"
import type { VhostUserEnd } from "./vhost-user-end.ts"

/** SCM_RIGHTS, unix(7). */
const RIGHTS = 1
/** The kernel's limit for one call (SCM_MAX_FD). */
const MOST_DESCRIPTORS = 253
const CONTROL_BYTES = controlSpace(MOST_DESCRIPTORS * 4)

/** Arena bytes that a {@link MessageSocket} reserves at most. */
export const MESSAGE_SOCKET_BYTES: number = 2 * (MESSAGE_HEADER_BYTES + LONGEST_PAYLOAD) + CONTROL_BYTES + 6 * 64

/** Reads requests and writes replies, one after the other. */
export class MessageSocket {
  readonly #native: Native
  readonly #arena: Arena
  readonly #message: number
  readonly #reply: number
  readonly #control: number
  readonly #table: MessageTable
  readonly #vectors: Vectors
  #descriptor = -1
  /** Bytes of the message that have arrived. */
  #filled = 0
  #descriptors: number[] = []

  constructor(native: Native, arena: Arena) {
    this.#native = native
    this.#arena = arena
    const purpose = "messages of a vhost-user front end"
    this.#message = arena.reserve(MESSAGE_HEADER_BYTES + LONGEST_PAYLOAD, 64, purpose)
    this.#reply = arena.reserve(MESSAGE_HEADER_BYTES + LONGEST_PAYLOAD, 64, purpose)
    this.#control = arena.reserve(CONTROL_BYTES, 64, purpose)
    this.#table = new MessageTable(arena, 1)
    this.#vectors = new Vectors(arena, 1)
  }

  /** -1 if there is no front end. */
  get descriptor(): number {
    return this.#descriptor
  }

  /** The request of the message that was read. */
  get request(): number {
    return this.#arena.view.getUint32(this.#message, true)
  }

  get flags(): number {
    return this.#arena.view.getUint32(this.#message + 4, true)
  }

  /** Bytes of its payload. */
  get payloadBytes(): number {
    return this.#arena.view.getUint32(this.#message + 8, true)
  }

  /** Arena offset of its payload. */
  get payload(): number {
    return this.#message + MESSAGE_HEADER_BYTES
  }

  /** The number of descriptors that came with it and were not taken. */
  get descriptorCount(): number {
    return this.#descriptors.length
  }

  /** Arena offset of the payload of the next reply. */
  get replyPayload(): number {
    return this.#reply + MESSAGE_HEADER_BYTES
  }

  attach(descriptor: number): void {
    this.#descriptor = descriptor
    this.#filled = 0
  }

  /** Closes what has arrived of a message. Returns the socket, still open; -1 if there was none. */
  detach(): number {
    const descriptor = this.#descriptor
    this.#descriptor = -1
    this.#filled = 0
    this.closeDescriptors()
    return descriptor
  }

  /** Hands over the first descriptor that came with the message, which the caller closes; -1 if none is left. */
  takeDescriptor(): number {
    return this.#descriptors.shift() ?? -1
  }

  /** Closes the descriptors that weren't taken. */
  closeDescriptors(): void {
    for (const descriptor of this.#descriptors) this.#native.close(descriptor)
    this.#descriptors = []
  }

  /**
   * Reads on. Returns true once a message is complete, which then stays until the next call; false if there is no more
   * to read now; or the end of the connection.
   */
  read(): boolean | VhostUserEnd {
    if (this.#isComplete) {
      this.closeDescriptors()
      this.#filled = 0
    }
    while (!this.#isComplete) {
      const wanted = this.#filled < MESSAGE_HEADER_BYTES ? MESSAGE_HEADER_BYTES : this.#messageBytes
      const end = this.#receive(wanted - this.#filled)
      if (end !== true) return end
      if (this.#filled >= MESSAGE_HEADER_BYTES && this.payloadBytes > LONGEST_PAYLOAD) {
        return violation(`a message with a payload of ${this.payloadBytes} bytes`)
      }
      if (this.#descriptors.length > MESSAGE_DESCRIPTORS) return violation("more descriptors than any message has")
    }
    return true
  }

  /** Sends a reply to the message that was read. Returns why the front end is gone if it can't be sent. */
  reply(payloadBytes: number): VhostUserEnd | undefined {
    const { view } = this.#arena
    const bytes = MESSAGE_HEADER_BYTES + payloadBytes
    view.setUint32(this.#reply, this.request, true)
    view.setUint32(this.#reply + 4, MessageBit.version | MessageBit.reply, true)
    view.setUint32(this.#reply + 8, payloadBytes, true)
    this.#vectors.set(0, this.#reply, bytes)
    const sent = this.#native.sendVectors(this.#descriptor, this.#vectors.offset, 1, MessageFlag.doNotWait)
    if (sent === bytes) return undefined
    return sent >= 0 || sent === -Errno.EAGAIN ? { kind: "deaf" } : { kind: "failed", errno: -sent }
  }

  get #messageBytes(): number {
    return MESSAGE_HEADER_BYTES + this.payloadBytes
  }

  get #isComplete(): boolean {
    return this.#filled >= MESSAGE_HEADER_BYTES && this.#filled === this.#messageBytes
  }

  #receive(bytes: number): boolean | VhostUserEnd {
    this.#table.setData(0, this.#message + this.#filled, bytes)
    this.#table.setControl(0, this.#control, CONTROL_BYTES)
    const flags = MessageFlag.doNotWait | MessageFlag.closeOnExec
    const count = this.#native.receiveMessages(this.#descriptor, this.#table.offset, 1, flags)
    if (count === -Errno.EAGAIN || count === -Errno.ENOMEM || count === -Errno.ENOBUFS) return false
    if (count < 0) return { kind: "failed", errno: -count }
    const length = this.#table.resultLength(0)
    this.#keepDescriptors()
    if (length === 0) return { kind: "closed" }
    this.#filled += length
    return true
  }

  #keepDescriptors(): void {
    const { view } = this.#arena
    const at = findControlMessage(view, this.#control, this.#table.controlLength(0), SocketLevel.socket, RIGHTS)
    if (at < 0) return
    const end = at - CONTROL_HEADER_BYTES + view.getUint32(at - CONTROL_HEADER_BYTES, true)
    for (let word = at; word + 4 <= end; word += 4) this.#descriptors.push(view.getInt32(word, true))
  }
}

function violation(reason: string): VhostUserEnd {
  return { kind: "violation", reason }
}
