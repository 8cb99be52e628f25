/** The system's log, by its socket: syslog(3), in the format of RFC 3164. */
import type { Arena } from "@demiflow/core"
import { AddressFamily, MessageFlag, type Native, SocketType, unixSocketAddress } from "@demiflow/sys"
import type { LogSink, Severity } from "./log.ts"

const DEFAULT_PATH = "/dev/log"
/** RFC 3164, section 4.1.1: system daemons. */
const FACILITY_DAEMON = 3
const SEVERITIES: Readonly<Record<Severity, number>> = { error: 3, warning: 4, info: 6, debug: 7, trace: 7 }
/** RFC 3164, section 4.1: no more than this in a message. */
const MOST_BYTES = 1024
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** A message as the system's log takes it. */
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
  readonly #vector: number
  readonly #text: number

  private constructor(native: Native, arena: Arena, descriptor: number, tag: string) {
    this.#native = native
    this.#arena = arena
    this.#descriptor = descriptor
    this.#tag = tag
    this.#vector = arena.reserve(8, 8)
    this.#text = arena.reserve(MOST_BYTES)
  }

  /** Connects; undefined on a system without such a log. */
  static open(native: Native, arena: Arena, tag: string, path: string = DEFAULT_PATH): SystemLog | undefined {
    const descriptor = native.socket(AddressFamily.unix, SocketType.datagram, 0)
    if (descriptor < 0) return undefined
    const address = unixSocketAddress(path)
    const offset = arena.reserve(address.length)
    arena.bytes.set(address, offset)
    if (native.connect(descriptor, offset, address.length) >= 0) return new SystemLog(native, arena, descriptor, tag)
    native.close(descriptor)
    return undefined
  }

  /** A message that the log has no room for is lost: nobody waits for it. */
  write(severity: Severity, message: string): void {
    const text = formatSystemMessage(severity, this.#tag, message, new Date())
    const room = this.#arena.bytes.subarray(this.#text, this.#text + MOST_BYTES)
    const { written } = new TextEncoder().encodeInto(text, room)
    this.#arena.words[this.#vector >> 2] = this.#text
    this.#arena.words[(this.#vector >> 2) + 1] = written
    this.#native.sendVectors(this.#descriptor, this.#vector, 1, MessageFlag.doNotWait)
  }

  close(): void {
    this.#native.close(this.#descriptor)
  }
}
