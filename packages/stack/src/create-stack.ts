/** The assembly of a whole stack, and its end. */
import {
  type Address,
  type Arena,
  type Clock,
  Drops,
  type FlowTable,
  type Forwarding,
  type Link,
  type LocalPath,
  type Log,
  type Loop,
  MacAddress,
  PLUGIN_ARENA_BYTES,
  type ProtocolPlugin,
  type Sockets,
  silentLog,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import { type TapOptions, TapSide, type TapSizes, tapArenaBytes } from "@demiflow/tap"
import { LARGEST_HELD } from "./held-packets.ts"
import { linkLocalOf } from "./link-local.ts"
import { Stack } from "./stack.ts"
import type { StackParts } from "./stack-parts.ts"
import { Turn } from "./turn.ts"

const OUR_MAC = new MacAddress(0x9a55, 0x9a559a55)
const ARENA_ALIGNMENT = 64

/** What a stack is assembled from. */
export interface CreateStackOptions
  extends Omit<TapOptions, "link" | "arena" | "clock" | "drops" | "ourMac" | "ourLinkLocal"> {
  /** The guest's end. Its arena needs room for {@link stackArenaBytes}. The caller closes the link, after the stack. */
  readonly link: Link
  /** The host's end, on the same arena. */
  readonly sockets: Sockets
  /**
   * Sockets inside the guest's namespace, on the same arena; absent for a guest without one. For protocols that use it,
   * such as `tcpWithLocalPath` and `udpWithLocalPath`.
   */
  readonly localPath?: LocalPath | undefined
  /** The protocols, in any order: claims determine who is offered a packet first. */
  readonly plugins: readonly ProtocolPlugin[]
  /** Drives the stack. Absent: the caller calls {@link RunningStack.turn}. */
  readonly loop?: Loop
  /**
   * A descriptor that is readable while the link has frames: the loop watches it. Absent: the caller reports frames
   * with {@link RunningStack.framesWait}.
   */
  readonly linkDescriptor?: number | undefined
  /** Called when the link is gone for good, with a positive error number. */
  readonly onLinkError?: ((errno: number) => void) | undefined
  /** True if the guest comes later: the caller calls `Stack.start` then. If absent, the first turn does. */
  readonly isGuestLate?: boolean
  /** The loop's if not given; one of the two is needed. */
  readonly clock?: Clock
  /** A table of the default size if not given. */
  readonly flows?: FlowTable
  /** Forwards everything, over both versions of IP, and translates nothing if not given. */
  readonly forwarding?: Forwarding
  /** Silent if not given. */
  readonly log?: Log
  /** Called when a handler has thrown, see `StackParts`; logged if not given. */
  readonly onFailure?: StackParts["onFailure"]
  /** The first observers; `Stack.observe` adds others. */
  readonly observers?: StackParts["observers"]
  /** Where drops are counted: pass the instance that the link and the flow table use. */
  readonly drops?: Drops
  /** 9a:55:9a:55:9a:55 if not given. */
  readonly ourMac?: MacAddress
  /** Derived from our Ethernet address if not given. */
  readonly ourLinkLocal?: Address
}

/** A stack, and the function that runs it. */
export interface RunningStack {
  readonly stack: Stack
  readonly tap: TapSide
  /** True if the last turn left frames from the guest: the next one should come soon. */
  readonly hasFrames: boolean
  /**
   * Runs one turn: frames from the guest, timers, then output to the link; `turn.ts` has the order and the bounds. A
   * stack on a loop needs no other turns. Without one, call this after events were handed to `stack.fromHost`, when
   * frames wait, and at `stack.nextDeadline`. Returns the number of frames from the guest, or the link's negative error
   * number if the guest is gone.
   */
  turn(): number
  /** Has the loop run a turn that takes frames from the link. */
  framesWait(): void
  /**
   * Ends all flows, stops listening, and gives back what the stack has of arena, sockets and loop. Not to be called by
   * a handler. Later calls do nothing, and no other call is allowed then.
   */
  close(): void
  [Symbol.dispose](): void
}

/** What {@link stackArenaBytes} depends on. */
export interface StackSizes extends TapSizes {
  readonly plugins: readonly ProtocolPlugin[]
  /** Absent: no local path, for which plug-ins may take more. */
  readonly localPath?: object | undefined
}

/**
 * Returns the bytes of arena that a stack reserves at most: for its tap side, for a packet whose flow waited for a
 * verdict, and for what its plug-ins declare. Link and sockets take more.
 */
export function stackArenaBytes(options: StackSizes): number {
  let bytes = tapArenaBytes(options) + LARGEST_HELD
  for (const { arenaBytes = PLUGIN_ARENA_BYTES, localPathArenaBytes = 0 } of options.plugins) {
    bytes += arenaBytes + (options.localPath === undefined ? 0 : localPathArenaBytes)
  }
  return Math.ceil(bytes / ARENA_ALIGNMENT) * ARENA_ALIGNMENT
}

/**
 * Assembles a stack between a link and sockets, and has the loop drive it. Several stacks may share a loop, an arena
 * and a thread, with a link and sockets each.
 *
 * Throws {@link ArenaMismatchError}, `ArenaExhaustedError`, {@link ClaimConflictError}, an error with the code
 * `ERR_SOCKETS_IN_USE` if another stack has the sockets, and whatever a plug-in throws.
 */
export function createStack(options: CreateStackOptions): RunningStack {
  const { link, sockets, localPath } = options
  const { buffer } = link.arena
  if (buffer !== sockets.arena.buffer || (localPath && localPath.sockets.arena.buffer !== buffer)) {
    throw new ArenaMismatchError()
  }
  const arena = link.arena.part(stackArenaBytes(options), "a stack (stackArenaBytes)")
  let assembly: Assembly | undefined
  try {
    assembly = new Assembly(options, arena)
    assembly.open()
    return assembly
  } catch (error) {
    if (assembly === undefined) link.arena.giveBack(arena)
    else assembly.close()
    throw error
  }
}

/** A {@link RunningStack}. Its functions are properties, so that they work when destructured. */
class Assembly implements RunningStack {
  readonly stack: Stack
  readonly tap: TapSide
  readonly turn: () => number
  readonly framesWait: () => void
  readonly close: () => void
  readonly #options: CreateStackOptions
  readonly #arena: Arena
  readonly #turn: Turn
  readonly #receivesFrom: Sockets[] = []
  #isOpen = true
  #isLinkWatched = false

  constructor(options: CreateStackOptions, arena: Arena) {
    const { sockets, localPath, loop, random, onFailure, observers, ourMac = OUR_MAC } = options
    const clock = options.clock ?? loop?.clock
    if (clock === undefined) throw new TypeError("A stack needs a clock: pass a loop, or a clock")
    const drops = options.drops ?? new Drops()
    const flows = options.flows ?? new FixedFlowTable({ random, drops })
    const forwarding = options.forwarding ?? new ForwardingPolicy({ v4: {}, v6: {} }, drops)
    const log = options.log ?? silentLog
    const ourLinkLocal = options.ourLinkLocal ?? linkLocalOf(ourMac)
    const tap = new TapSide({ ...options, arena, clock, drops, ourMac, ourLinkLocal })
    const ends = { arena, guest: tap, sockets, localPath, flows, forwarding }
    this.#options = options
    this.#arena = arena
    this.tap = tap
    const requestTurn = () => loop?.requestTurn?.()
    this.stack = new Stack({ ...ends, clock, random, log, drops, onFailure, observers, requestTurn })
    this.#turn = new Turn(this.stack, tap, clock, options.isGuestLate !== true, (errno) => this.#linkIsGone(errno))
    this.turn = () => this.#turn.take(true)
    this.framesWait = this.#turn.framesWait
    this.close = () => this.#close()
  }

  get hasFrames(): boolean {
    return this.#turn.hasFrames
  }

  open(): void {
    const { sockets, localPath, plugins, loop, linkDescriptor } = this.#options
    this.tap.attach(this.stack)
    this.#receiveFrom(sockets)
    if (localPath !== undefined) this.#receiveFrom(localPath.sockets)
    for (const plugin of plugins) this.stack.register(plugin)
    loop?.attach(this.#turn)
    if (linkDescriptor === undefined || loop === undefined) return
    loop.watchReadable(linkDescriptor, this.framesWait)
    this.#isLinkWatched = true
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #receiveFrom(sockets: Sockets): void {
    sockets.deliverTo?.(this.stack)
    this.#receivesFrom.push(sockets)
  }

  #linkIsGone(errno: number): void {
    // It would stay readable.
    this.#unwatchLink()
    this.#options.onLinkError?.(errno)
  }

  #unwatchLink(): void {
    if (!this.#isLinkWatched) return
    this.#isLinkWatched = false
    const { loop, linkDescriptor } = this.#options
    if (linkDescriptor !== undefined) loop?.unwatch(linkDescriptor)
  }

  #close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const { link, loop } = this.#options
    try {
      this.stack.close()
    } finally {
      this.#unwatchLink()
      this.#turn.end()
      loop?.detach(this.#turn)
      for (const each of this.#receivesFrom) each.deliverTo?.(undefined)
      link.arena.giveBack(this.#arena)
    }
  }
}

/** Link and host use different arenas, so payload can't move between them. */
export class ArenaMismatchError extends Error {
  readonly code = "ERR_ARENA_MISMATCH"

  constructor() {
    super("The link and the host use different arenas: create both with the same one")
    this.name = "ArenaMismatchError"
  }
}
