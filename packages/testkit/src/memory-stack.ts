/**
 * A whole stack in memory: a guest at one end, a host at the other, independent of the machine that it runs on.
 */
import {
  Arena,
  Drops,
  type Forwarding,
  type LinkCapabilities,
  type ListenerRef,
  type Log,
  type Observer,
  type OwnAddresses,
  type ProtocolPlugin,
  type Random,
  type SideRef,
  silentLog,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy, type ForwardingRules } from "@demiflow/flow"
import { createStack, type RunningStack, type Stack, stackArenaBytes } from "@demiflow/stack"
import { FaultInjector, type Faults, memoryLinkPair, type TapSide, type TapSizes } from "@demiflow/tap"
import { ScriptedGuest, type ScriptedGuestOptions } from "./guest/scripted-guest.ts"
import { SimulatedLocalPath, type SimulatedLocalPathOptions } from "./host/simulated-local-path.ts"
import { SimulatedSockets } from "./host/simulated-sockets.ts"
import type { SimulatedSocketsOptions } from "./host/simulated-sockets-options.ts"
import { SeededRandom } from "./seeded-random.ts"
import { SlowLink, type SlowLinkOptions } from "./slow-link.ts"
import { type Participant, VirtualClock } from "./virtual-clock.ts"

/** Options of a stack in memory. All have defaults. */
export interface MemoryStackOptions {
  /** The source of all random numbers. */
  readonly seed?: number
  /** The link's capabilities: MTU 1500 and no offloads by default. */
  readonly link?: Partial<LinkCapabilities>
  /** Faults of the link, until {@link MemoryStack.endFaults}. */
  readonly fromGuest?: Faults
  readonly toGuest?: Faults
  /** The guest's pace of taking frames; at once by default. */
  readonly slowGuest?: SlowLinkOptions
  /** Forwarding rules; both IP versions are forwarded, nothing is translated, by default. */
  readonly rules?: ForwardingRules
  /** Closes the host to the guest, as `ForwardingPolicy` does; open by default. */
  readonly closedHost?: OwnAddresses
  /** Makes the policy, from the one with these rules; that one itself by default. */
  readonly policy?: (inner: ForwardingPolicy, drops: Drops) => Forwarding
  /** The policy, in place of `ForwardingPolicy` with `rules`, `closedHost` and `policy`. */
  readonly forwarding?: Forwarding
  /** Flows at most; 1,024 by default. */
  readonly capacity?: number
  readonly guest?: Omit<ScriptedGuestOptions, "clock">
  readonly sockets?: Omit<SimulatedSocketsOptions, "clock" | "arena">
  /**
   * Makes the guest a namespace of the host's kernel, with its own sockets and pipes to them: {@link
   * MemoryStack.namespace}. `tcpWithLocalPath` and `udpWithLocalPath` use it.
   */
  readonly localPath?: true | SimulatedLocalPathOptions
  readonly log?: Log
  /**
   * Handling of errors that a handler throws: they end the test, by default, or are logged as in a stack without a
   * test.
   */
  readonly failures?: "throw" | "log"
  /** The stack's observers. */
  readonly observers?: readonly Observer[]
  /** Sizes of the tap side; smaller than a real one's by default. */
  readonly tap?: TapSizes
  /** Bytes of the arena for the test's own use; 1 MiB by default. */
  readonly spareBytes?: number
}

const LINK_BYTES = 1 << 20
const FAULT_BYTES = 2 << 20
const GUEST_BYTES = 512 << 10
const SMALL_TAP: TapSizes = { transmitBytes: 2 << 20, reassemblySlots: 8 }

/** The stack with everything around it. Made by {@link memoryStack}. */
export class MemoryStack implements Participant {
  readonly arena: Arena
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly guest: ScriptedGuest
  readonly sockets: SimulatedSockets
  /** With {@link MemoryStackOptions.localPath}. */
  readonly localPath: SimulatedLocalPath | undefined
  readonly flows: FixedFlowTable
  readonly drops: Drops
  readonly stack: Stack
  readonly tap: TapSide
  /** The link, with {@link MemoryStackOptions.slowGuest}. */
  readonly slowLink: SlowLink | undefined
  readonly #running: RunningStack
  readonly #faults: Record<string, number>[]
  readonly #injector: FaultInjector | undefined
  readonly #deliverToSide = (side: SideRef, events: number): void => this.stack.fromHost(side, events)
  readonly #deliverToListener = (listener: ListenerRef, events: number): void =>
    this.stack.fromListener(listener, events)

  constructor(plugins: readonly ProtocolPlugin[], options: MemoryStackOptions = {}) {
    const sizes = options.tap ?? SMALL_TAP
    const spare = 2 * LINK_BYTES + FAULT_BYTES + GUEST_BYTES + (options.spareBytes ?? 1 << 20)
    const localPath = options.localPath === undefined ? undefined : {}
    const bytes = stackArenaBytes({ ...sizes, plugins, localPath }) + spare
    this.arena = new Arena(Math.ceil(bytes / 64) * 64)
    this.clock = new VirtualClock()
    this.random = new SeededRandom(options.seed ?? 1)
    this.drops = new Drops()
    const [stackEnd, guestEnd] = memoryLinkPair(this.arena, this.arena, {
      capabilities: options.link,
      queueBytes: LINK_BYTES,
    })
    this.sockets = new SimulatedSockets({
      random: this.random.fork(),
      ...options.sockets,
      clock: this.clock,
      arena: this.arena,
    })
    const random: Random = this.random.fork()
    this.flows = new FixedFlowTable({ capacity: options.capacity ?? 1_024, random, drops: this.drops })
    // The stack's turn comes before the guest's, so that the guest sees pending packets of the stack at once.
    this.clock.attach(this)
    this.guest = new ScriptedGuest(guestEnd, { ...options.guest, clock: this.clock })
    this.localPath = this.#makeLocalPath(options.localPath)
    const fromGuest = { ...options.fromGuest }
    const toGuest = { ...options.toGuest }
    this.#faults = [fromGuest, toGuest]
    const isFaulty = options.fromGuest !== undefined || options.toGuest !== undefined
    if (isFaulty) {
      this.#injector = new FaultInjector(stackEnd, {
        clock: this.clock,
        seed: this.random.int32(),
        fromGuest,
        toGuest,
      })
    }
    const link = this.#injector ?? stackEnd
    if (options.slowGuest !== undefined) this.slowLink = new SlowLink(link, this.clock, options.slowGuest)
    const policy = new ForwardingPolicy(options.rules ?? { v4: {}, v6: {} }, this.drops, options.closedHost)
    this.#running = createStack({
      ...sizes,
      link: this.slowLink ?? link,
      sockets: this.sockets,
      localPath: this.localPath,
      flows: this.flows,
      forwarding: options.forwarding ?? options.policy?.(policy, this.drops) ?? policy,
      clock: this.clock,
      random,
      plugins,
      log: options.log ?? silentLog,
      onFailure: options.failures === "log" ? undefined : rethrow,
      observers: options.observers,
      drops: this.drops,
      guestV4: this.guest.addresses.find((address) => address.isV4),
      guestV6: this.guest.addresses.find((address) => !address.isV4 && !address.isLinkLocal),
      guestLinkLocal: this.guest.addresses.find((address) => address.isLinkLocal),
    })
    this.stack = this.#running.stack
    this.tap = this.#running.tap
    if (this.slowLink !== undefined) {
      this.slowLink.onResume = () => {
        this.stack.resume()
        this.stack.endTurn()
      }
    }
    this.stack.start()
    this.tap.flush()
  }

  /** The guest's namespace; its world is the programs inside. Throws without {@link MemoryStackOptions.localPath}. */
  get namespace(): SimulatedSockets {
    if (this.localPath === undefined) throw new Error("This stack was made without a local path")
    return this.localPath.sockets
  }

  /** Lets `milliseconds` of virtual time pass, and runs everything that falls due. 0 runs what is due now. */
  readonly run = (milliseconds = 0): void => {
    this.clock.advance(milliseconds)
  }

  /** Lets time pass until the condition holds, at most `limit` milliseconds. Returns whether it holds. */
  readonly runUntil = (condition: () => boolean, limit?: number): boolean => this.clock.runUntil(condition, limit)

  /** Ends the faults of the link. */
  readonly endFaults = (): void => {
    for (const faults of this.#faults) for (const name of Object.keys(faults)) faults[name] = 0
  }

  /**
   * Lists leftovers: flows, sockets, deadlines, misuses of sockets. Empty when all connections are over; listeners
   * stay.
   */
  readonly leftovers = (): string[] => {
    const found = [...this.sockets.violations]
    if (this.flows.size > 0) found.push(`${this.flows.size} flows are left`)
    const open = this.sockets.openSockets - this.sockets.listeningSockets
    if (open > 0) found.push(`${open} sockets are open`)
    if (this.localPath !== undefined) found.push(...this.localPath.leftovers())
    const deadline = this.stack.nextDeadline()
    if (deadline < Number.POSITIVE_INFINITY) found.push(`something is due in ${deadline - this.clock.now} ms`)
    return found
  }

  /** Closes the stack, which then has no flow, no socket and no place in the arena. */
  readonly close = (): void => this.#running.close()

  turn(): boolean {
    const { stack, clock, sockets, localPath } = this
    let reported = sockets.poll(this.#deliverToSide, this.#deliverToListener)
    if (localPath !== undefined) reported += localPath.sockets.poll(this.#deliverToSide, this.#deliverToListener)
    const deadline = stack.nextDeadline()
    const left = this.flows.size - sockets.openSockets
    const received = this.#running.turn()
    if (received <= 0 && reported === 0 && deadline > clock.now) return false
    // If many flows are due at once, it takes several turns until all have ended, or have a socket.
    const isLeft = this.flows.size - sockets.openSockets !== left
    return received > 0 || reported > 0 || stack.nextDeadline() !== deadline || isLeft
  }

  nextDeadline(): number {
    return Math.min(this.stack.nextDeadline(), this.#injector?.nextDeadline() ?? Number.POSITIVE_INFINITY)
  }

  #makeLocalPath(options: true | SimulatedLocalPathOptions | undefined): SimulatedLocalPath | undefined {
    if (options === undefined) return undefined
    const { clock, arena, random, sockets } = this
    const { addresses } = this.guest
    return new SimulatedLocalPath({ clock, arena, random, sockets, addresses }, options === true ? {} : options)
  }
}

function rethrow(error: unknown): void {
  throw error
}

/**
 * Assembles a stack in memory, with a {@link ScriptedGuest} and a {@link SimulatedSockets}, under a {@link
 * VirtualClock}:
 *
 *     const { guest, host, run } = memoryStack([udp()])
 *
 * @param plugins the protocols, in any order
 */
export function memoryStack(plugins: readonly ProtocolPlugin[], options: MemoryStackOptions = {}): MemoryStack {
  return new MemoryStack(plugins, options)
}
