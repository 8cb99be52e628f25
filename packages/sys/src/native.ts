/**
 * The native addon: its functions, and how it is loaded.
 *
 * Unless said otherwise every function takes 32-bit integers and returns zero or more on success, a negated errno
 * otherwise: `-EFAULT` for a range outside the arena, `-EINVAL` for a missing or non-numeric argument. None throws.
 * Offsets and lengths are bytes in the arena; tables in the arena are 32-bit integers in machine byte order, without
 * alignment. Descriptors that a call opens are non-blocking where that applies and always closed on exec. In a worker
 * thread, these and those that a message has brought are also closed with the thread, unless `close` has done so:
 * nothing else may close them there.
 */
import { locateNativeFile, NativeUnavailableError, releaseNativeFile, requiredNativeFile } from "./native-files.ts"

const ADDON = "demiflow.node"

/** System calls over one arena, one instance for each thread. */
export interface Native {
  /**
   * Makes the buffer (at most 2 GiB) this thread's arena and keeps it alive. `-EINVAL` for a resizable one. Once its
   * memory is transferred to another buffer, this thread has no arena: calls return `-EFAULT`. Use `attachArena`, which
   * keeps track.
   */
  attach(buffer: ArrayBuffer): number
  /** Moves bytes inside the arena; the ranges may overlap. */
  copy(fromOffset: number, toOffset: number, length: number): number
  /** CLOCK_MONOTONIC in microseconds, a double: the one result that isn't a 32-bit integer. */
  monotonicMicroseconds(): number
  /** Stores the same value as a double at `offset`, which allocates nothing. */
  storeMonotonic(offset: number): number
  /** The lowest 32 bits of the same value, signed; allocates nothing. For differences of up to 35 minutes. */
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
  /** Stores pairs (events, token), at most 256, and returns their number; timeout -1 waits for ever. */
  epollWait(epoll: number, offset: number, maximum: number, timeoutMilliseconds: number): number
  /** The same with a timeout in microseconds, rounded up to milliseconds where the kernel (before 5.11) lacks it. */
  epollWaitMicroseconds(epoll: number, offset: number, maximum: number, timeoutMicroseconds: number): number
  /** Lets other processes that are ready to run on this processor go first. */
  yieldProcessor(): number
  /** libuv's epoll descriptor of this thread. */
  loopDescriptor(): number
  /** Milliseconds until libuv wants a turn; 0 at once, -1 never. Not an errno. */
  loopTimeout(): number

  /**
   * Reads whole frames of up to `room` bytes, a multiple of 64, until none waits or `maximum` are read. The first goes
   * to `offset`, each further one to the next multiple of 64 bytes, counted from `offset`, after the one before.
   * Lengths go to `lengthsOffset`. Returns the count, 0 if none waited. The length of the last one may be 0, at the end
   * of a stream, or the negated errno of a read that failed.
   */
  readFrames(descriptor: number, offset: number, room: number, maximum: number, lengthsOffset: number): number
  /**
   * Writes one frame per (offset, length) pair. Returns how many were taken before the first refusal; the negated errno
   * if the first frame was refused.
   */
  writeFrames(descriptor: number, vectorOffset: number, count: number): number

  /**
   * A new map of another program's memory: that of a virtual machine. Returns its number, or `-EMFILE` beyond 64. From
   * the first one on, the process has a handler for SIGBUS, for memory that the other program truncates: see `RingFault`.
   * What isn't about such memory goes to the handler that was there before.
   */
  memoryCreate(): number
  /**
   * Maps a region. The record has four unsigned 64-bit integers: address in the guest, bytes, address in the other
   * program, offset in the file. The caller may close the descriptor then. `-EINVAL` for a region that is empty, beyond
   * 2^64 or the end of its file, or overlaps another one by either address; `-ENOSPC` beyond 512 regions.
   */
  memoryAdd(memory: number, descriptor: number, recordOffset: number): number
  /**
   * Unmaps the region with exactly this record's addresses and bytes, or returns `-ENOENT`. A ring that was there is
   * unusable.
   */
  memoryRemove(memory: number, recordOffset: number): number
  /** Unmaps all, also the log. Rings on the memory are unusable. */
  memoryClear(memory: number): number
  /** The same, and frees the number. */
  memoryClose(memory: number): number
  /**
   * Maps the log of written pages, or ends it (descriptor -1). The record has two unsigned 64-bit integers: bytes,
   * offset in the file. The log has a bit for each 4,096 bytes of guest addresses, the lowest bit of a byte first; bits
   * are set atomically, after the page is written. What the log is too short for isn't noted.
   */
  memoryLog(memory: number, descriptor: number, recordOffset: number): number

  /**
   * Opens a split virtqueue: virtio 1.3, section 2.7. The record has 48 bytes: descriptor table, available ring and used
   * ring as addresses in the other program, the used ring's address in the guest for the log (unsigned 64-bit integers);
   * entries (a power of two up to 32,768), the first available index, a `RingFlag` mask, and where in a frame the number
   * of its chains is stored, as 16 bits, if chains are merged, otherwise -1. Returns the ring's number; `-EFAULT` for a
   * part of the ring that isn't aligned or doesn't lie in one region, `-EMFILE` beyond 256 rings.
   */
  ringOpen(memory: number, recordOffset: number): number
  /**
   * Sets the descriptor to which 8 bytes, the number 1, are written when the other side wants to be notified; -1 for
   * none. It must be non-blocking. Closing it is up to the caller.
   */
  ringNotify(ring: number, descriptor: number): number
  /**
   * Takes up to `maximum` frames from the guest: copies the readable buffers of each chain to `offset`, one frame after
   * another at multiples of 64 bytes counted from `offset`, in at most `room` bytes. Their lengths go to `lengthsOffset`;
   * 0 for a chain that has no readable buffer or is longer than `longest` (at most `room`), which takes no room. Gives all
   * these chains back at once and notifies the other side if it wants that.
   *
   * Returns the count. Once a ring is unusable: `-EFAULT` if its memory is to blame, otherwise `-EPROTO`; see
   * `ringFault`. Frames before a chain with a fault are returned first.
   */
  ringTake(ring: number, offset: number, room: number, longest: number, maximum: number, lengthsOffset: number): number
  /**
   * Copies frames, at most 1,024 (offset, length) pairs, to chains of writable buffers: each to one chain, or to as many
   * as it needs where chains are merged, whose number is then stored in the frame here before it is copied. Gives the
   * chains to the guest at once and notifies it if it wants that.
   *
   * Returns how many were taken: fewer if chains are missing. A frame that is too long for its chain, for all chains
   * together or for its number of chains (too short) counts as taken, uses no chain, and its length becomes -1. Errors
   * are as with `ringTake`.
   */
  ringGive(ring: number, vectorOffset: number, count: number): number
  /**
   * Asks (1) the other side for notifications of chains that it makes available, or asks for none (0). Returns 1 if
   * there are some already that it may not announce, otherwise 0. Chains that `ringGive` found to be too few for a frame
   * don't count.
   */
  ringArm(ring: number, wanted: number): number
  /** 1 if a chain is available, otherwise 0. */
  ringHas(ring: number): number
  /** Why the ring is unusable, a `RingFault`; 0 if it isn't. */
  ringFault(ring: number): number
  /** The next available index, from 0 to 65,535. */
  ringBase(ring: number): number
  ringClose(ring: number): number

  socket(domain: number, type: number, protocol: number): number
  /** Stores two descriptors as 32-bit integers at `offset`. */
  socketPair(domain: number, type: number, protocol: number, offset: number): number
  bind(descriptor: number, addressOffset: number, length: number): number
  /** Returns `-EINPROGRESS` while the connection is being set up. */
  connect(descriptor: number, addressOffset: number, length: number): number
  listen(descriptor: number, backlog: number): number
  /** Returns the new descriptor. Stores the correspondent's address and zeroes the rest of the range. */
  accept(descriptor: number, addressOffset: number, maximumLength: number): number
  /** Returns the length of the address. */
  getSocketName(descriptor: number, addressOffset: number, maximumLength: number): number
  /** Returns the length of the address. */
  getPeerName(descriptor: number, addressOffset: number, maximumLength: number): number
  shutdown(descriptor: number, how: number): number
  /** Options and requests (`ioctl`) are those that `native/allowed-options.c` lists: others return `-EINVAL`. */
  setOption(descriptor: number, level: number, name: number, offset: number, length: number): number
  /** Returns the length of the value. */
  getOption(descriptor: number, level: number, name: number, offset: number, length: number): number
  setOptionInteger(descriptor: number, level: number, name: number, value: number): number
  /** Returns the value. */
  getOptionInteger(descriptor: number, level: number, name: number): number

  /** Sends one message from (offset, length) pairs; never raises SIGPIPE. Returns the number of bytes taken. */
  sendVectors(descriptor: number, vectorOffset: number, count: number, flags: number): number
  /** Receives one message into (offset, length) pairs. Returns its bytes. */
  receiveVectors(descriptor: number, vectorOffset: number, count: number, flags: number): number
  /** Discards bytes from a TCP socket's receive queue. Returns how many, or `-EAGAIN` if there are none. */
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
   * Identifies the file with a name of at most 255 bytes in an open folder, as `DEVICE:NUMBER`; a negated errno if
   * there is none. A symbolic link isn't followed.
   */
  identityAt(folder: number, name: string): string | number
  /** Removes a name from an open folder. */
  unlinkAt(folder: number, name: string): number
  close(descriptor: number): number
  read(descriptor: number, offset: number, length: number): number
  /** Reads from `position` and leaves the descriptor's own position unchanged. */
  readAt(descriptor: number, offset: number, length: number, position: number): number
  write(descriptor: number, offset: number, length: number): number
  readVectors(descriptor: number, vectorOffset: number, count: number): number
  writeVectors(descriptor: number, vectorOffset: number, count: number): number
  /**
   * Moves bytes between a pipe and another descriptor without copying them here. Never blocks. Returns 0 at the end of
   * the source.
   */
  splice(fromDescriptor: number, toDescriptor: number, length: number): number
  /** Makes a request whose structure lies at `offset`. */
  ioctl(descriptor: number, request: number, offset: number): number
  /** Makes a request that fills in one integer, and returns that integer. */
  ioctlGetInteger(descriptor: number, request: number): number
  /** Makes a request whose argument is itself a number. */
  ioctlValue(descriptor: number, request: number, value: number): number
  /** fcntl() for duplicating, flags and pipe sizes; other commands are `-EINVAL`. */
  fileControl(descriptor: number, command: number, value: number): number
  /** Stores the reading and the writing descriptor as 32-bit integers at `offset`. */
  createPipe(offset: number): number
  /** An eventfd. */
  createEvent(initial: number): number
  /** Fills the range with unpredictable bytes. */
  getRandom(offset: number, length: number): number
  /** A descriptor that is readable once the process has ended. */
  pidfdOpen(process: number): number
  /** Waits for one child. Returns its process id, or 0 with WNOHANG. Stores the wait status at `statusOffset`. */
  waitPid(process: number, options: number, statusOffset: number): number
  kill(process: number, signal: number): number

  /**
   * Reports readiness on libuv's own loop, for programs without our event loop. Returns a number for the two calls
   * below. The callback receives bits (1 readable) or a negated errno.
   */
  pollOpen(descriptor: number, callback: (events: number) => void): number
  /** Starts (1) or stops (0) calling back while the descriptor is readable. */
  pollSet(poll: number, active: number): number
  /** Must be called before the descriptor is closed. */
  pollClose(poll: number): number

  /** Opens a path as seen inside a network namespace (-1: the present one), on a thread of its own. */
  openInNamespace(namespaceDescriptor: number, path: string, flags: number): number
  /** Opens a blocking socket inside a network namespace (-1: the present one), where it stays. */
  socketInNamespace(namespaceDescriptor: number, domain: number, type: number, protocol: number): number
  /**
   * Forks a child that carries out a list of steps, as written by `process/steps.ts`. Returns its process id. A step
   * that fails writes a line to the report descriptor.
   */
  runSteps(
    wordsOffset: number,
    wordCount: number,
    stringsOffset: number,
    stringBytes: number,
    reportDescriptor: number,
  ): number
  /**
   * Carries out a list of steps in this process; none may start another process. Returns 0, or the error of the step
   * that failed.
   */
  runStepsHere(wordsOffset: number, wordCount: number, stringsOffset: number, stringBytes: number): number
  /**
   * The number of a system call by its name; `-ENOSYS` for one that this architecture lacks, `-EINVAL` for what isn't
   * in the table.
   */
  callNumber(name: string): number
  /**
   * The architecture as filters see it, `AUDIT_ARCH_…` as a signed number; 0 for one that filters of ours don't know.
   * Not an errno.
   */
  architecture(): number
  /**
   * Makes a call that a filter refuses with SIGSYS return `EPERM`, on every thread. Adds 1 to the eventfd and to the
   * call's own counter: an int32 at `offset` for each number from 0 to 511. At most once a process.
   */
  catchRefusals(event: number, offset: number): number
  /** The version of the kernel's Landlock, from 1; a negated errno where there is none. */
  landlockVersion(): number
  /** 1 if this process's group is the terminal's foreground group, else 0. */
  isForeground(terminal: number): number
  /** Makes this process's group the foreground group if the present one is gone. Returns 1 if so, else 0. */
  reclaimForeground(terminal: number): number
}

let loaded: Native | undefined

/**
 * The addon, loaded on first use. Throws {@link NativeUnavailableError} when it isn't built or doesn't fit this
 * machine.
 */
export function loadNative(): Native {
  if (loaded === undefined) {
    loaded = load(requiredNativeFile(ADDON))
    releaseNativeFile(ADDON)
  }
  return loaded
}

function load(path: string): Native {
  try {
    const module = { exports: {} }
    // Unlike `require`, this takes a path that has no extension.
    process.dlopen(module, path)
    return module.exports as Native
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause)
    throw new NativeUnavailableError(
      `The native part of @demiflow/sys can't be loaded (${reason}): run \`npm rebuild @demiflow/sys\` on this machine`,
      { cause },
    )
  }
}

/** Path of a native program that is built beside the addon; undefined if there is none. */
export function fileBeside(name: string): string | undefined {
  return locateNativeFile(name)
}
