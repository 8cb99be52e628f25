/**
 * A network namespace that a helper process has entered for this one: `native/namespace-helper` explains why, and what
 * its requests are. Each request is one message, and blocks until its answer.
 */
import { type Arena, Errno } from "@demiflow/core"
import {
  AddressFamily,
  FileCommand,
  MessageFlag,
  OpenFlag,
  SocketLevel,
  SocketOption,
  SocketType,
} from "../constants.ts"
import { CONTROL_HEADER_BYTES, controlSpace, findControlMessage, writeControlHeader } from "../control-message.ts"
import { checkResult, SystemError } from "../errno.ts"
import { MessageTable } from "../message-table.ts"
import type { Native } from "../native.ts"
import { requiredNativeFile } from "../native-files.ts"
import { NamespaceFlag, runSteps, type Step } from "../process/index.ts"
import { MOST_SOCKETS, type NetworkNamespace } from "./network-namespace.ts"

/** The values of `native/namespace-helper/main.c`. */
const Request = { enter: 1, open: 2, sockets: 3, write: 4, ioctl: 5, bind: 6, identify: 7, seal: 8 } as const
const HEADER_BYTES = 32
const RESULT_BYTES = 4
const MOST_BYTES = 16_384
const BUFFER_BYTES = HEADER_BYTES + MOST_BYTES
/** SCM_RIGHTS of unix(7). */
const RIGHTS = 1
const CONTROL_BYTES = controlSpace(4 * MOST_SOCKETS)
/** An answer comes within microseconds. Without a timeout, a stopped helper would block this process for ever. */
const TIMEOUT_SECONDS = 10
/** The descriptor that a helper is started with. */
const HELPER_SOCKET = 3
/** The pipe with which the helper ends. */
const HELPER_LIFE = 4
const SIGKILL = 9
const ACTION = "reach the namespace helper"

/**
 * Sends requests to a helper. An error of the helper's system call is an ordinary result; the loss of the helper is
 * reported to `onLost`.
 */
export class HelpedNamespace implements NetworkNamespace {
  /** Readable once the helper has ended. */
  readonly descriptor: number
  readonly #native: Native
  readonly #arena: Arena
  readonly #buffer: number
  readonly #control: number
  readonly #table: MessageTable
  readonly #process: number | undefined
  /**
   * Called once when the helper no longer answers, or answers something else than was requested: it has ended, or is
   * stopped. Requests return `-EPIPE` from then on. Without this callback, the request throws a `SystemError`.
   */
  onLost: (() => void) | undefined
  #isLost = false

  /**
   * @param socket the other end of the helper's socket
   * @param process its process id, if it is a child to wait for
   */
  constructor(native: Native, arena: Arena, socket: number, process?: number) {
    this.#native = native
    this.#arena = arena
    this.descriptor = socket
    this.#process = process
    this.#buffer = arena.reserve(BUFFER_BYTES, 8, "a helped namespace")
    this.#control = arena.reserve(CONTROL_BYTES, 8, "a helped namespace")
    this.#table = new MessageTable(arena, 1)
    arena.view.setBigInt64(this.#buffer, BigInt(TIMEOUT_SECONDS), true)
    arena.view.setBigInt64(this.#buffer + 8, 0n, true)
    native.setOption(socket, SocketLevel.socket, SocketOption.receiveTimeout, this.#buffer, 16)
  }

  /** Has the helper join a namespace of the kind `kind`, a `NamespaceFlag`. Returns 0, or a negated errno. */
  enter(descriptor: number, kind: number): number {
    return this.#ask([Request.enter, kind], 0, descriptor)
  }

  open(path: string, flags: number): number {
    const result = this.#ask([Request.open, flags], this.#put(path))
    if (result < 0) return result
    return this.#isOne() ? this.#descriptorAt(0) : this.#lose()
  }

  socket(family: number, type: number, protocol: number): number {
    const result = this.#makeSockets(family, type, protocol, 1)
    return result < 0 ? result : this.#descriptorAt(0)
  }

  sockets(family: number, type: number, protocol: number, offset: number, count: number): number {
    const made = this.#makeSockets(family, type | OpenFlag.nonBlocking, protocol, Math.min(count, MOST_SOCKETS))
    for (let index = 0; index < made; index++) {
      this.#arena.view.setInt32(offset + 4 * index, this.#descriptorAt(index), true)
    }
    return made
  }

  write(descriptor: number, offset: number, length: number): number {
    if (length > MOST_BYTES) return -Errno.EMSGSIZE
    this.#native.copy(offset, this.#buffer + HEADER_BYTES, length)
    return this.#ask([Request.write], length, descriptor)
  }

  ioctl(descriptor: number, request: number, offset: number, length: number): number {
    if (length > MOST_BYTES) return -Errno.EMSGSIZE
    this.#native.copy(offset, this.#buffer + HEADER_BYTES, length)
    const result = this.#ask([Request.ioctl, request], length, descriptor)
    if (result >= 0) this.#native.copy(this.#buffer + RESULT_BYTES, offset, length)
    return result
  }

  bind(descriptor: number, addressOffset: number, length: number): number {
    this.#native.copy(addressOffset, this.#buffer + HEADER_BYTES, length)
    return this.#ask([Request.bind], length, descriptor)
  }

  /** Identifies the file that a path or a descriptor leads to, as `DEVICE:NUMBER`; a negated errno if there is none. */
  identify(file: string | number): string | number {
    const result =
      typeof file === "string"
        ? this.#ask([Request.identify], this.#put(file))
        : this.#ask([Request.identify], this.#put(""), file)
    if (result < 0) return result
    const [major, minor, low, high] = [0, 1, 2, 3].map((word) =>
      this.#arena.view.getUint32(this.#buffer + RESULT_BYTES + 4 * word, true),
    )
    return `${major}:${minor}:${high}:${low}`
  }

  /**
   * Has the helper give up privileges that it no longer needs. Returns 0, or a negated errno.
   *
   * @param kept numbers of capabilities, below 32
   * @param filter BPF instructions that filter its system calls; empty: none
   */
  seal(kept: readonly number[], filter: Uint8Array): number {
    this.#arena.bytes.set(filter, this.#buffer + HEADER_BYTES)
    const mask = kept.reduce((bits, capability) => bits | (1 << capability), 0)
    return this.#ask([Request.seal, mask, 0], filter.length)
  }

  /** Has the helper end. What it has opened stays open. */
  close(): void {
    this.#native.close(this.descriptor)
    if (this.#process === undefined) return
    // The helper ends by itself, unless it is stopped.
    this.#native.kill(this.#process, SIGKILL)
    this.#native.waitPid(this.#process, 0, this.#buffer)
  }

  /** Opens sockets of one kind: at least one, or a negated errno. */
  #makeSockets(family: number, type: number, protocol: number, count: number): number {
    const made = this.#ask([Request.sockets, family, type, protocol, count], 0)
    if (made <= 0) return made < 0 ? made : this.#lose()
    const arrived = this.#arrived()
    // This process has no free descriptor for them.
    if (arrived === 0) return -Errno.EMFILE
    for (let index = 0; index < arrived; index++) {
      if (this.#isOfKind(this.#descriptorAt(index), family, type, protocol)) continue
      this.#closeArrived()
      return this.#lose()
    }
    return arrived
  }

  /** Checked because processes inside the namespace might control the helper. */
  #isOfKind(descriptor: number, family: number, type: number, protocol: number): boolean {
    const { socket } = SocketLevel
    const option = (name: number): number => this.#native.getOptionInteger(descriptor, socket, name)
    const { nonBlocking } = OpenFlag
    return (
      option(SocketOption.domain) === family &&
      option(SocketOption.type) === (type & ~nonBlocking) &&
      (protocol === 0 || option(SocketOption.protocol) === protocol) &&
      (this.#native.fileControl(descriptor, FileCommand.getStatusFlags, 0) & nonBlocking) === (type & nonBlocking)
    )
  }

  /** Sends a request, with the bytes that follow its header, and waits for the answer. Returns the result. */
  #ask(words: readonly number[], length: number, descriptor = -1): number {
    if (this.#isLost) return -Errno.EPIPE
    const { view } = this.#arena
    for (let word = 0; word < HEADER_BYTES / 4; word++) view.setInt32(this.#buffer + 4 * word, words[word] ?? 0, true)
    this.#table.setData(0, this.#buffer, HEADER_BYTES + length)
    this.#table.setControl(0, this.#control, descriptor < 0 ? 0 : controlSpace(4))
    if (descriptor >= 0) {
      writeControlHeader(view, this.#control, SocketLevel.socket, RIGHTS, 4)
      view.setInt32(this.#control + CONTROL_HEADER_BYTES, descriptor, true)
    }
    const sent = this.#native.sendMessages(this.descriptor, this.#table.offset, 1, 0)
    if (sent < 0) return this.#lose(sent)
    this.#table.setData(0, this.#buffer, BUFFER_BYTES)
    this.#table.setControl(0, this.#control, CONTROL_BYTES)
    const received = this.#native.receiveMessages(this.descriptor, this.#table.offset, 1, MessageFlag.closeOnExec)
    if (received < 0) return this.#lose(received)
    if (this.#table.resultLength(0) < RESULT_BYTES) return this.#lose()
    return view.getInt32(this.#buffer, true)
  }

  #lose(result: number = -Errno.EPIPE): number {
    if (this.onLost === undefined) throw new SystemError(ACTION, result)
    this.#isLost = true
    this.onLost()
    return -Errno.EPIPE
  }

  #put(text: string): number {
    const bytes = new TextEncoder().encode(`${text}\0`)
    if (bytes.length > MOST_BYTES) return 0
    this.#arena.bytes.set(bytes, this.#buffer + HEADER_BYTES)
    return bytes.length
  }

  /** Offset of the descriptors of the last answer, -1 if there are none. */
  #rights(): number {
    return findControlMessage(this.#arena.view, this.#control, this.#table.controlLength(0), SocketLevel.socket, RIGHTS)
  }

  #arrived(): number {
    const at = this.#rights()
    return at < 0 ? 0 : (this.#arena.view.getUint32(at - CONTROL_HEADER_BYTES, true) - CONTROL_HEADER_BYTES) >> 2
  }

  #isOne(): boolean {
    if (this.#arrived() === 1) return true
    this.#closeArrived()
    return false
  }

  #descriptorAt(index: number): number {
    return this.#arena.view.getInt32(this.#rights() + 4 * index, true)
  }

  #closeArrived(): void {
    for (let index = 0; index < this.#arrived(); index++) this.#native.close(this.#descriptorAt(index))
  }
}

/**
 * Steps of a process that becomes a helper. It keeps its capabilities over the user namespace that it is in. Throws
 * `NativeUnavailableError` if the helper isn't built.
 *
 * @param socket its end of a pair, of {@link createHelperSocket}
 * @param life the reading end of a pipe; when the other end is closed, the helper ends even if it is stopped
 */
export function helperSteps(socket: number, life?: number): Step[] {
  const path = requiredNativeFile("namespace-helper")
  return [
    { kind: "duplicate", descriptor: socket, number: HELPER_SOCKET },
    ...(life === undefined ? [] : endWith(life)),
    ...[0, 1, 2].map((number): Step => ({ kind: "open", path: "/dev/null", flags: OpenFlag.readWrite, number })),
    { kind: "closeOnExecFrom", first: life === undefined ? HELPER_LIFE : HELPER_LIFE + 1 },
    { kind: "newSession" },
    { kind: "keepCapabilities", mayFail: true },
    { kind: "execute", paths: [path], arguments: ["demiflow-namespace", String(HELPER_SOCKET)], variables: [] },
  ]
}

/** A process inside the namespace may have stopped the helper by then. */
function endWith(life: number): Step[] {
  return [
    { kind: "duplicate", descriptor: life, number: HELPER_LIFE },
    { kind: "endWithPipe", descriptor: HELPER_LIFE, signal: SIGKILL },
  ]
}

/** The two ends of a helper's socket. Throws a `SystemError`. */
export function createHelperSocket(native: Native, arena: Arena): { readonly ours: number; readonly theirs: number } {
  const pair = arena.reserve(8, 8, "a helped namespace")
  const type = SocketType.sequentialPacket
  checkResult(native.socketPair(AddressFamily.unix, type, 0, pair), "make a pair of sockets")
  const ends = { ours: arena.view.getInt32(pair, true), theirs: arena.view.getInt32(pair + 4, true) }
  for (const end of Object.values(ends)) native.fileControl(end, FileCommand.setStatusFlags, 0)
  return ends
}

/**
 * Starts a helper as a child of this process. Throws a `SystemError` or a `NativeUnavailableError`.
 *
 * @param network descriptor of the network namespace to enter, which requires CAP_SYS_ADMIN over it; not needed
 * afterwards
 */
export function startNamespaceHelper(native: Native, arena: Arena, network: number): HelpedNamespace {
  const { ours, theirs } = createHelperSocket(native, arena)
  const { process } = runSteps(native, arena, helperSteps(theirs), -1)
  native.close(theirs)
  const namespace = new HelpedNamespace(native, arena, ours, process)
  try {
    checkResult(namespace.enter(network, NamespaceFlag.network), "enter the network namespace")
    return namespace
  } catch (error) {
    namespace.close()
    throw error
  }
}
