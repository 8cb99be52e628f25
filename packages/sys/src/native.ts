/**
 * The native addon: what it offers, and where it is found.
 *
 * Unless said otherwise every function takes 32-bit integers and answers zero or more on success, a negated errno
 * otherwise: `-EFAULT` for a range outside the arena, `-EINVAL` for a missing or non-numeric argument. None throws.
 * Offsets and lengths are bytes in the arena; tables in the arena are 32-bit integers in machine byte order, without
 * alignment. Descriptors that a call makes are non-blocking where that applies and always closed on exec.
 */
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** System calls over one arena, one set for each thread. */
export interface Native {
  /**
   * Makes the buffer (at most 2 GiB) this thread's arena and keeps it alive. `-EINVAL` for a resizable one. Once its memory is
   * transferred to another buffer, this thread has no arena: calls answer `-EFAULT`. Use `attachArena`, which keeps track.
   */
  attach(buffer: ArrayBuffer): number
  /** Moves bytes inside the arena; the ranges may overlap. */
  copy(fromOffset: number, toOffset: number, length: number): number
  /** CLOCK_MONOTONIC in microseconds, a double: the one result that isn't an integer of 32 bits. */
  monotonicMicroseconds(): number
  /** The same as a double at `offset`, which allocates nothing. */
  storeMonotonic(offset: number): number
  /** The lowest 32 bits of it, signed: allocates nothing. For differences, of up to 35 minutes. */
  monotonicWord(): number

  /**
   * Folded, not complemented RFC 1071 sum of a range's 16-bit words in network order, 0 to 65,535, `initial` (a partial
   * sum of up to 32 bits, unsigned) added. Every range but the last of a chain must have an even length.
   */
  checksum(offset: number, length: number, initial: number): number
  /** The same without vector instructions. */
  checksumPortable(offset: number, length: number, initial: number): number

  /** A new epoll instance. */
  epollCreate(): number
  /** `token` comes back with each event; see `EpollOperation` and `EpollEvent`. */
  epollControl(epoll: number, operation: number, descriptor: number, events: number, token: number): number
  /** Stores pairs (events, token), at most 256, and answers their number; timeout -1 waits for ever. */
  epollWait(epoll: number, offset: number, maximum: number, timeoutMilliseconds: number): number
  /** The same with a timeout in microseconds, rounded up to milliseconds where the kernel (before 5.11) lacks it. */
  epollWaitMicroseconds(epoll: number, offset: number, maximum: number, timeoutMicroseconds: number): number
  /** Lets others that are ready to run on this processor go first. */
  yieldProcessor(): number
  /** libuv's epoll descriptor of this thread. */
  loopDescriptor(): number
  /** Milliseconds until libuv wants a turn; 0 at once, -1 never. Not an errno. */
  loopTimeout(): number

  /**
   * Reads whole frames of up to `room` bytes, a multiple of 64, until none waits or `maximum` are read: the first to
   * `offset`, each further one to the next multiple of 64 bytes from `offset` behind the one before. Lengths go to
   * `lengthsOffset`. Answers the count, 0 if none waited. The length of the last one may be 0, at the end of a stream, or
   * the negated errno of a read that failed.
   */
  readFrames(descriptor: number, offset: number, room: number, maximum: number, lengthsOffset: number): number
  /**
   * Writes one frame per (offset, length) pair. Answers how many were taken before the first refusal; the negated errno
   * if that was the first frame.
   */
  writeFrames(descriptor: number, vectorOffset: number, count: number): number

  socket(domain: number, type: number, protocol: number): number
  /** Two descriptors as 32-bit integers at `offset`. */
  socketPair(domain: number, type: number, protocol: number, offset: number): number
  bind(descriptor: number, addressOffset: number, length: number): number
  /** `-EINPROGRESS` for a connection on its way. */
  connect(descriptor: number, addressOffset: number, length: number): number
  listen(descriptor: number, backlog: number): number
  /** Answers the new descriptor; the correspondent's address is stored, the rest of the range zeroed. */
  accept(descriptor: number, addressOffset: number, maximumLength: number): number
  /** Answers the length of the address. */
  getSocketName(descriptor: number, addressOffset: number, maximumLength: number): number
  /** Answers the length of the address. */
  getPeerName(descriptor: number, addressOffset: number, maximumLength: number): number
  shutdown(descriptor: number, how: number): number
  /** Options and requests (`ioctl`) are those that `native/allowed.c` lists: others are `-EINVAL`. */
  setOption(descriptor: number, level: number, name: number, offset: number, length: number): number
  /** Answers the length of the value. */
  getOption(descriptor: number, level: number, name: number, offset: number, length: number): number
  setOptionInteger(descriptor: number, level: number, name: number, value: number): number
  /** Answers the value. */
  getOptionInteger(descriptor: number, level: number, name: number): number

  /** One message from (offset, length) pairs; never raises SIGPIPE. Answers the bytes taken. */
  sendVectors(descriptor: number, vectorOffset: number, count: number, flags: number): number
  /** One message into (offset, length) pairs. Answers the bytes. */
  receiveVectors(descriptor: number, vectorOffset: number, count: number, flags: number): number
  /** Drops bytes from a TCP socket's receive queue; answers how many, or `-EAGAIN` if there are none. */
  discard(descriptor: number, length: number): number
  /**
   * Receives up to `count` messages, at most 1,024. The table has eight integers an entry: data offset and length, name
   * offset and length, control offset and length, flags, result length. Name length, control length, flags and result
   * length are written back.
   */
  receiveMessages(descriptor: number, tableOffset: number, count: number, flags: number): number
  /** Sends the messages of such a table until one fails; result lengths are written back. */
  sendMessages(descriptor: number, tableOffset: number, count: number, flags: number): number

  open(path: string, flags: number, mode: number): number
  /**
   * Which file has a name of at most 255 bytes in a folder that is open, as `DEVICE:NUMBER`. A symbolic link isn't followed. A
   * negated errno if there is none.
   */
  identityAt(folder: number, name: string): string | number
  /** Removes a name from a folder that is open. */
  unlinkAt(folder: number, name: string): number
  close(descriptor: number): number
  read(descriptor: number, offset: number, length: number): number
  /** Reads from a position, and leaves the descriptor's own where it is. */
  readAt(descriptor: number, offset: number, length: number, position: number): number
  write(descriptor: number, offset: number, length: number): number
  readVectors(descriptor: number, vectorOffset: number, count: number): number
  writeVectors(descriptor: number, vectorOffset: number, count: number): number
  /**
   * Moves bytes between a pipe and another descriptor without copying them here, never waiting; 0 at the end of the one
   * that is read.
   */
  splice(fromDescriptor: number, toDescriptor: number, length: number): number
  /** A request whose structure lies at `offset`. */
  ioctl(descriptor: number, request: number, offset: number): number
  /** A request that fills in one integer; answers it. */
  ioctlGetInteger(descriptor: number, request: number): number
  /** A request whose argument is a number itself. */
  ioctlValue(descriptor: number, request: number, value: number): number
  /** fcntl() for duplicating, flags and pipe sizes; other commands are `-EINVAL`. */
  fileControl(descriptor: number, command: number, value: number): number
  /** The reading and the writing descriptor as 32-bit integers at `offset`. */
  createPipe(offset: number): number
  /** An eventfd. */
  createEvent(initial: number): number
  /** Fills the range with unpredictable bytes. */
  getRandom(offset: number, length: number): number
  /** A descriptor that is readable once the process has ended. */
  pidfdOpen(process: number): number
  /** Waits for one child; answers its process id, or 0 with WNOHANG. The wait status goes to `statusOffset`. */
  waitPid(process: number, options: number, statusOffset: number): number
  kill(process: number, signal: number): number

  /**
   * Readiness on libuv's own loop, for those who run no loop of ours: answers a number for the two calls below. The
   * callback gets bits (1 readable) or a negated errno.
   */
  pollOpen(descriptor: number, callback: (events: number) => void): number
  /** Calls back while the descriptor is readable (1), or no longer (0). */
  pollSet(poll: number, active: number): number
  /** To be called before the descriptor is closed. */
  pollClose(poll: number): number

  /** Opens a path as if inside a network namespace (-1: the present one), which takes a thread for the moment. */
  openInNamespace(namespaceDescriptor: number, path: string, flags: number): number
  /** Makes a blocking socket inside a network namespace (-1: the present one), which it stays in. */
  socketInNamespace(namespaceDescriptor: number, domain: number, type: number, protocol: number): number
  /**
   * Forks a child that carries out a list of steps, as `process/steps.ts` writes them. Answers its process id. A step that
   * fails writes a line to the report descriptor.
   */
  runSteps(
    wordsOffset: number,
    wordCount: number,
    stringsOffset: number,
    stringBytes: number,
    reportDescriptor: number,
  ): number
  /** Carries out a list of steps in this process, none of which starts another. Answers 0, or the error of one that failed. */
  runStepsHere(wordsOffset: number, wordCount: number, stringsOffset: number, stringBytes: number): number
  /** The number of a system call by its name; `-ENOSYS` for one that this architecture lacks, `-EINVAL` for what isn't in the table. */
  callNumber(name: string): number
  /** The architecture as filters see it, `AUDIT_ARCH_…` as a signed number; 0 for one that filters of ours don't know. Not an errno. */
  architecture(): number
  /**
   * Has a call that a filter refuses with SIGSYS answer `EPERM`, on every thread. 1 is added to the eventfd, and to the call's own counter: an
   * int32 at the offset for each number from 0 to 511. Once a process.
   */
  catchRefusals(event: number, offset: number): number
  /** The version of the kernel's Landlock, from 1; the error where there is none. */
  landlockVersion(): number
  /** 1 if this process' group is the terminal's foreground group, else 0. */
  isForeground(terminal: number): number
  /** Makes this process' group the foreground group if the present one is gone. Answers 1 if so, else 0. */
  reclaimForeground(terminal: number): number
}

/** The addon can't be used. The message says what to do. */
export class NativeUnavailableError extends Error {
  readonly code = "ERR_NATIVE_UNAVAILABLE"

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "NativeUnavailableError"
  }
}

const PACKAGE = "@demiflow/sys"
const ADDON = "demiflow.node"

let loaded: Native | undefined

/**
 * The addon, loaded on first use. Throws {@link NativeUnavailableError} when it isn't built or doesn't fit this
 * machine.
 */
export function loadNative(): Native {
  loaded ??= load(createRequire(import.meta.url))
  return loaded
}

function load(require: NodeJS.Require): Native {
  const path = locate(require, ADDON)
  if (path === undefined) {
    throw new NativeUnavailableError(
      "The native part of @demiflow/sys isn't built: run `npm rebuild @demiflow/sys` (it needs a C compiler)",
    )
  }
  try {
    return require(path) as Native
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause)
    throw new NativeUnavailableError(
      `The native part of @demiflow/sys can't be loaded (${reason}): run \`npm rebuild @demiflow/sys\` on this machine`,
      { cause },
    )
  }
}

/** Path of a native program that is built beside the addon; undefined if it isn't there. */
export function fileBeside(name: string): string | undefined {
  return locate(createRequire(import.meta.url), name)
}

/** Beside this package's `src` or `dist`; or, from inside a bundle, wherever the package is installed. */
function locate(require: NodeJS.Require, name: string): string | undefined {
  const beside = fileURLToPath(new URL(`../build/${name}`, import.meta.url))
  if (existsSync(beside)) return beside
  for (const folder of require.resolve.paths(PACKAGE) ?? []) {
    // The runtime's own search, which goes by what a package exports, loads 20 modules first.
    const file = join(folder, PACKAGE, "build", name)
    if (existsSync(file)) return file
    if (existsSync(join(folder, PACKAGE))) return undefined
  }
  try {
    const installed = join(dirname(require.resolve(`${PACKAGE}/${ADDON}`)), name)
    return existsSync(installed) ? installed : undefined
  } catch {
    return undefined
  }
}
