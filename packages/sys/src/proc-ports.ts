/**
 * Lists the ports of one protocol bound in a network namespace, from `/proc/net/tcp` and `tcp6`, or `udp` and `udp6`:
 * see proc(5).
 *
 * The files are opened once and read repeatedly. Their contents belong to the namespace in which they were opened, and
 * nothing has to be opened later.
 */
import type { Arena } from "@demiflow/core"
import { IpProtocol } from "@demiflow/core"
import { OpenFlag } from "./constants.ts"
import type { NetworkNamespace } from "./namespace/network-namespace.ts"
import type { Native } from "./native.ts"

const CHUNK_BYTES = 16_384
/** Longer than any line: up to this much of a chunk is kept for the next one. */
const KEPT_BYTES = 1024

const COLON = 0x3a
const LINE_FEED = 0x0a
const SPACE = 0x20

/** Values of `st`: a TCP socket that listens, a UDP socket that isn't connected, and one that is. */
const LISTENING = 0x0a
const UNCONNECTED = 0x07
const CONNECTED = 0x01

/** The files of one namespace and protocol. */
export class ProcPorts {
  readonly #native: Native
  /** The bytes read, behind the incomplete line kept from before. */
  readonly #window: Uint8Array
  readonly #chunk: number
  readonly #isTcp: boolean
  readonly #files: readonly number[]
  #connected = new Set<number>()

  /**
   * @param protocol IP protocol number: TCP or UDP
   */
  constructor(native: Native, arena: Arena, namespace: NetworkNamespace, protocol: number) {
    this.#native = native
    this.#isTcp = protocol === IpProtocol.tcp
    const window = arena.reserve(KEPT_BYTES + CHUNK_BYTES, 64, "the list of ports")
    this.#window = arena.bytes.subarray(window, window + KEPT_BYTES + CHUNK_BYTES)
    this.#chunk = window + KEPT_BYTES
    // A file that can't be opened, such as tcp6 without IPv6, has no ports.
    this.#files = (this.#isTcp ? ["tcp", "tcp6"] : ["udp", "udp6"])
      .map((name) => namespace.open(`/proc/thread-self/net/${name}`, OpenFlag.readOnly))
      .filter((descriptor) => descriptor >= 0)
  }

  /** The ports of sockets that listen, or are bound and not connected, in no order. */
  read(): Set<number> {
    const ports = new Set<number>()
    this.#connected = new Set()
    for (const descriptor of this.#files) this.#read(descriptor, ports)
    return ports
  }

  /** For UDP, the ports of connected sockets when the others were read. */
  get connected(): ReadonlySet<number> {
    return this.#connected
  }

  close(): void {
    for (const descriptor of this.#files) this.#native.close(descriptor)
  }

  /**
   * For TCP, listening sockets come first (`tcp_seq_start`), and the others are all the machine's connections: so
   * reading stops at the first of those.
   */
  #read(descriptor: number, ports: Set<number>): void {
    const state = this.#isTcp ? LISTENING : UNCONNECTED
    const window = this.#window
    let isHeading = true
    let kept = 0
    let position = 0
    for (;;) {
      const count = this.#native.readAt(descriptor, this.#chunk, CHUNK_BYTES, position)
      if (count <= 0) return
      position += count
      const end = KEPT_BYTES + count
      let line = KEPT_BYTES - kept
      for (
        let next = window.indexOf(LINE_FEED, line);
        next >= 0 && next < end;
        next = window.indexOf(LINE_FEED, line)
      ) {
        const port = portOfLine(window, line, next, state)
        if (port > 0) ports.add(port)
        else if (!this.#isTcp) this.#noteConnected(portOfLine(window, line, next, CONNECTED))
        else if (!isHeading) return
        isHeading = false
        line = next + 1
      }
      kept = Math.min(end - line, KEPT_BYTES)
      window.copyWithin(KEPT_BYTES - kept, end - kept, end)
    }
  }

  #noteConnected(port: number): void {
    if (port > 0) this.#connected.add(port)
  }
}

/**
 * The port of a line such as `  0: 0100007F:0016 00000000:0000 0A …`: number, local and remote end, state, all in
 * hexadecimal digits. 0 if the socket is in another state, or for the heading.
 */
export function portOfLine(bytes: Uint8Array, start: number, end: number, state: number): number {
  const number = bytes.indexOf(COLON, start)
  const local = bytes.indexOf(COLON, number + 1)
  const remote = bytes.indexOf(COLON, local + 1)
  const beforeState = bytes.indexOf(SPACE, remote + 1)
  if (number < 0 || local < 0 || remote < 0 || beforeState < 0 || beforeState + 3 > end) return 0
  return hexadecimal(bytes, beforeState + 1, 2) === state ? hexadecimal(bytes, local + 1, 4) : 0
}

function hexadecimal(bytes: Uint8Array, start: number, digits: number): number {
  let value = 0
  for (let index = start; index < start + digits; index++) {
    const code = bytes[index]
    value = value * 16 + (code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x57)
  }
  return value
}
