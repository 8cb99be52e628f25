/**
 * The system's log, by its socket: syslog(3), in the format of RFC 3164.
 *
 * The daemon that keeps the log may be restarted, and then creates another socket: the kernel refuses the next message,
 * and drops the old connection. So a refused message is sent once more after connecting again.
 */
import { type Arena, Errno } from "@demiflow/core"
import { AddressFamily, MessageFlag, type Native, SocketType, unixSocketAddress } from "@demiflow/sys"
import type { LogSink, Severity } from "./log.ts"

const DEFAULT_PATH = "/dev/log"
/** RFC 3164, section 4.1.1: system daemons. */
const FACILITY_DAEMON = 3
const SEVERITIES: Readonly<Record<Severity, number>> = { error: 3, warning: 4, info: 6, debug: 7, trace: 7 }
/** RFC 3164, section 4.1: the longest message. */
const MOST_BYTES = 1024
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** Formats a message for the system's log. */
export function formatSystemMessage(severity: Severity, tag: string, message: string, time: Date): string {
  const two = (number: number, fill = "0") => String(number).padStart(2, fill)
  const day = `${MONTHS[time.getMonth()]} ${two(time.getDate(), " ")}`
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
  return `<${FACILITY_DAEMON * 8 + SEVERITIES[severity]}>${day} ${clock} ${tag}: ${message}`
}

/** The connection to the system's log. */
export class SystemLog implements LogSink {
  readonly #native: Native
  readonly #arena: Arena
  readonly #descriptor: number
  readonly #tag: string
  readonly #address: number
  readonly #addressLength: number
  readonly #vector: number
  readonly #text: number

  private constructor(native: Native, arena: Arena, descriptor: number, tag: string, address: Uint8Array) {
    this.#native = native
    this.#arena = arena
    this.#descriptor = descriptor
    this.#tag = tag
    this.#address = arena.reserve(address.length, 64, "the system log")
    this.#addressLength = address.length
    arena.bytes.set(address, this.#address)
    this.#vector = arena.reserve(8, 8, "the system log")
    this.#text = arena.reserve(MOST_BYTES, 64, "the system log")
  }

  /** Connects to the log; undefined on a system without one. */
  static open(native: Native, arena: Arena, tag: string, path: string = DEFAULT_PATH): SystemLog | undefined {
    const descriptor = native.socket(AddressFamily.unix, SocketType.datagram, 0)
    if (descriptor < 0) return undefined
    const log = new SystemLog(native, arena, descriptor, tag, unixSocketAddress(path))
    if (log.#connect() >= 0) return log
    log.close()
    return undefined
  }

  /** A message that the log has no room for is dropped: this process doesn't wait. */
  write(severity: Severity, message: string): void {
    const text = formatSystemMessage(severity, this.#tag, message, new Date())
    const room = this.#arena.bytes.subarray(this.#text, this.#text + MOST_BYTES)
    const { written } = new TextEncoder().encodeInto(text, room)
    this.#arena.words[this.#vector >> 2] = this.#text
    this.#arena.words[(this.#vector >> 2) + 1] = written
    const result = this.#send()
    const isGone = result === -Errno.ECONNREFUSED || result === -Errno.ENOTCONN
    if (isGone && this.#connect() >= 0) this.#send()
  }

  close(): void {
    this.#native.close(this.#descriptor)
  }

  #connect(): number {
    return this.#native.connect(this.#descriptor, this.#address, this.#addressLength)
  }

  #send(): number {
    return this.#native.sendVectors(this.#descriptor, this.#vector, 1, MessageFlag.doNotWait)
  }
}
