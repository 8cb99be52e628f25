/** A front end's end of the connection: sends any message, reads replies. Doesn't use the code under test. */
import { Arena, Errno } from "@demiflow/core"
import {
  AddressFamily,
  attachArena,
  CONTROL_HEADER_BYTES,
  checkResult,
  controlSpace,
  MessageFlag,
  MessageTable,
  type Native,
  SocketLevel,
  SocketType,
  writeControlHeader,
} from "@demiflow/sys"

/** The arena of this test file: a thread has only one. */
export const arena: Arena = new Arena(64 << 20)
export const native: Native = attachArena(arena)

const BYTES = 8192
const RIGHTS = 1
const scratch = arena.reserve(BYTES, 64)
const control = arena.reserve(controlSpace(253 * 4), 64)
const table = new MessageTable(arena, 1)

/** A reply, or the end of the connection. */
export interface Reply {
  readonly request: number
  readonly flags: number
  readonly payload: Buffer
}

/** Two connected UNIX stream sockets. */
export function socketPair(): [number, number] {
  checkResult(native.socketPair(AddressFamily.unix, SocketType.stream, 0, scratch), "make a socket pair")
  return [arena.words[scratch >> 2], arena.words[(scratch >> 2) + 1]]
}

/** True if the descriptor isn't open. */
export function isClosed(descriptor: number): boolean {
  return native.fileControl(descriptor, 1, 0) === -9
}

/** A message as it is on the socket. */
export function messageOf(request: number, payload: Uint8Array = Buffer.alloc(0), flags = 1): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt32LE(request, 0)
  header.writeUInt32LE(flags, 4)
  header.writeUInt32LE(payload.length, 8)
  return Buffer.concat([header, payload])
}

/** One 64-bit number. */
export function number64(value: bigint | number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

/** Several 64-bit numbers. */
export function numbers64(...values: readonly (bigint | number)[]): Buffer {
  return Buffer.concat(values.map(number64))
}

/** Two 32-bit numbers. */
export function pair32(first: number, second: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(first, 0)
  bytes.writeUInt32LE(second, 4)
  return bytes
}

/** The connection. */
export class FrontEndSocket {
  readonly descriptor: number
  #unread: Buffer = Buffer.alloc(0)

  constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  /** Writes bytes, with descriptors. Returns what the kernel took, or a negated errno. */
  write(bytes: Uint8Array, descriptors: readonly number[] = []): number {
    arena.bytes.set(bytes, scratch)
    table.setData(0, scratch, bytes.length)
    if (descriptors.length === 0) table.setControl(0, 0, 0)
    else {
      writeControlHeader(arena.view, control, SocketLevel.socket, RIGHTS, descriptors.length * 4)
      for (const [index, descriptor] of descriptors.entries()) {
        arena.view.setInt32(control + CONTROL_HEADER_BYTES + index * 4, descriptor, true)
      }
      table.setControl(0, control, controlSpace(descriptors.length * 4))
    }
    const count = native.sendMessages(this.descriptor, table.offset, 1, MessageFlag.doNotWait)
    return count < 0 ? count : table.resultLength(0)
  }

  send(request: number, payload?: Uint8Array, descriptors?: readonly number[], flags?: number): void {
    const bytes = messageOf(request, payload, flags)
    const sent = this.write(bytes, descriptors)
    if (sent !== bytes.length) throw new Error(`${sent} of ${bytes.length} bytes were sent`)
  }

  /** The next reply, if one has arrived. */
  receive(): Reply | undefined {
    this.#fill()
    const bytes = this.#unread
    if (bytes.length < 12) return undefined
    const length = 12 + bytes.readUInt32LE(8)
    if (bytes.length < length) return undefined
    this.#unread = bytes.subarray(length)
    return {
      request: bytes.readUInt32LE(0),
      flags: bytes.readUInt32LE(4),
      payload: Buffer.from(bytes.subarray(12, length)),
    }
  }

  /** True if the back end has closed the connection, and no reply is left. */
  get isAtEnd(): boolean {
    return this.#fill() === 0 && this.#unread.length === 0
  }

  close(): void {
    native.close(this.descriptor)
  }

  #fill(): number {
    for (;;) {
      const count = native.read(this.descriptor, scratch, BYTES)
      if (count === -Errno.EAGAIN) return -1
      // What the back end hadn't read when it closed the connection.
      if (count === 0 || count === -Errno.ECONNRESET) return 0
      checkResult(count, "read")
      this.#unread = Buffer.concat([this.#unread, Buffer.from(arena.bytes.slice(scratch, scratch + count))])
    }
  }
}
