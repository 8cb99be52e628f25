/**
 * A whole stack in memory: a guest at one end, a host at the other, nothing of the machine it runs on.
 */
import {
  Arena,
  Drops,
  type LinkCapabilities,
  type ListenerRef,
  type Log,
  type OwnAddresses,
  type ProtocolPlugin,
  type Random,
  type SideRef,
  type Stack,
  silentLog,
} from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy, type ForwardingRules } from "@demiflow/flow"
import {
  createStack,
  FaultInjector,
  type Faults,
  memoryLinkPair,
  type RunningStack,
  type TapSide,
  type TapSizes,
  tapArenaBytes,
} from "@demiflow/tap"
import { ScriptedGuest, type ScriptedGuestOptions } from "./guest/scripted-guest.ts"
import { SimulatedHost } from "./host/simulated-host.ts"
import type { SimulatedHostOptions } from "./host/simulated-host-options.ts"
import { SimulatedLocalPath, type SimulatedLocalPathOptions } from "./host/simulated-local-path.ts"
import { SeededRandom } from "./seeded-random.ts"
import { SlowLink, type SlowLinkOptions } from "./slow-link.ts"
import { type Participant, VirtualClock } from "./virtual-clock.ts"

/** How a stack in memory is set up. Everything has a default. */
export interface MemoryStackOptions {
  /** Where all chance comes from. */
  readonly seed?: number
  /** What the link can do: MTU 1500 and no offloads by default. */
  readonly link?: Partial<LinkCapabilities>
  /** What happens to frames on the link, until {@link MemoryStack.endFaults}. */
  readonly fromGuest?: Faults
  readonly toGuest?: Faults
  /** How slowly the guest takes frames; at once by default. */
  readonly slowGuest?: SlowLinkOptions
  /** Forwarding rules; both IP versions are forwarded, nothing is translated, by default. */
  readonly rules?: ForwardingRules
  /** Keeps the guest from the host, as `ForwardingPolicy` does; open by default. */
  readonly closedHost?: OwnAddresses
  /** Flows at most; 1,024 by default. */
  readonly capacity?: number
  readonly guest?: Omit<ScriptedGuestOptions, "clock">
  readonly host?: Omit<SimulatedHostOptions, "clock" | "arena">
  /** The guest is a namespace of the host's kernel, with sockets of its own and pipes to it: {@link MemoryStack.namespace}. */
  readonly localPath?: true | SimulatedLocalPathOptions
  readonly log?: Log
  /** Sizes of the tap side; smaller than a real one's by default. */
  readonly tap?: TapSizes
  /** Bytes that plugins reserve of the arena at most; 64 MiB by default, which cost nothing until they are used. */
  readonly pluginBytes?: number
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
  readonly host: SimulatedHost
  /** With {@link MemoryStackOptions.localPath}. */
  readonly localPath: SimulatedLocalPath | undefined
  readonly flows: FixedFlowTable
  readonly drops: Drops
  readonly stack: Stack
  readonly tap: TapSide
  /** The link, with {@link MemoryStackOptions.slowGuest}. */
  readonly slowLink: SlowLink | undefined
  readonly #faults: Record<string, number>[]
  readonly #injector: FaultInjector | undefined
  readonly #tellSide = (side: SideRef, events: number): void => this.stack.fromHost(side, events)
  readonly #tellListener = (listener: ListenerRef, events: number): void => this.stack.fromListener(listener, events)

  constructor(plugins: readonly ProtocolPlugin[], options: MemoryStackOptions = {}) {
    const sizes = options.tap ?? SMALL_TAP
    const bytes = tapArenaBytes(sizes) + 2 * LINK_BYTES + FAULT_BYTES + GUEST_BYTES + (options.pluginBytes ?? 64 << 20)
    this.arena = new Arena(Math.ceil(bytes / 64) * 64)
    this.clock = new VirtualClock()
    this.random = new SeededRandom(options.seed ?? 1)
    this.drops = new Drops()
    const [stackEnd, guestEnd] = memoryLinkPair(this.arena, this.arena, {
      capabilities: options.link,
      queueBytes: LINK_BYTES,
    })
    this.host = new SimulatedHost({
      random: this.random.fork(),
      ...options.host,
      clock: this.clock,
      arena: this.arena,
    })
    const random: Random = this.random.fork()
    this.flows = new FixedFlowTable({ capacity: options.capacity ?? 1_024, random, drops: this.drops })
    // The stack's turn comes before the guest's: what it still had to send is then seen at once.
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
    const running: RunningStack = createStack({
      ...sizes,
      link: this.slowLink ?? link,
      host: this.host,
      localPath: this.localPath,
      flows: this.flows,
      forwarding: new ForwardingPolicy(options.rules ?? { v4: {}, v6: {} }, this.drops, options.closedHost),
      clock: this.clock,
      random,
      plugins,
      log: options.log ?? silentLog,
      drops: this.drops,
      guestV4: this.guest.addresses.find((address) => address.isV4),
      guestV6: this.guest.addresses.find((address) => !address.isV4 && !address.isLinkLocal),
      guestLinkLocal: this.guest.addresses.find((address) => address.isLinkLocal),
    })
    this.stack = running.stack
    this.tap = running.tap
    if (this.slowLink !== undefined) {
      this.slowLink.onResume = () => {
        this.stack.resume()
        this.stack.endTurn()
      }
    }
    this.stack.start()
    this.tap.flush()
  }

  /** The guest's namespace; its world are the programs in there. Throws without {@link MemoryStackOptions.localPath}. */
  get namespace(): SimulatedHost {
    if (this.localPath === undefined) throw new Error("This stack was made without a local path")
    return this.localPath.host
  }

  /** Lets `milliseconds` of virtual time pass, with everything that is due in them. 0: all that is due now. */
  readonly run = (milliseconds = 0): void => {
    this.clock.advance(milliseconds)
  }

  /** Lets time pass until the condition holds, at most `limit` milliseconds. Answers whether it holds. */
  readonly runUntil = (condition: () => boolean, limit?: number): boolean => this.clock.runUntil(condition, limit)

  /** Nothing happens to frames on the link from now on. */
  readonly endFaults = (): void => {
    for (const faults of this.#faults) for (const name of Object.keys(faults)) faults[name] = 0
  }

  /** What is left behind: flows, sockets, deadlines, misuses of sockets. Empty when all connections are over; listeners stay. */
  readonly leftovers = (): string[] => {
    const found = [...this.host.violations]
    if (this.flows.size > 0) found.push(`${this.flows.size} flows are left`)
    const sockets = this.host.openSockets - this.host.listeningSockets
    if (sockets > 0) found.push(`${sockets} sockets are open`)
    if (this.localPath !== undefined) found.push(...this.localPath.leftovers())
    const deadline = this.stack.nextDeadline()
    if (deadline < Number.POSITIVE_INFINITY) found.push(`something is due in ${deadline - this.clock.now} ms`)
    return found
  }

  turn(): boolean {
    const { stack, tap, clock, host, localPath } = this
    const received = tap.receive()
    let told = host.poll(this.#tellSide, this.#tellListener)
    if (localPath !== undefined) told += localPath.host.poll(this.#tellSide, this.#tellListener)
    const deadline = stack.nextDeadline()
    const left = this.flows.size - host.openSockets
    if (received <= 0 && told === 0 && deadline > clock.now) {
      tap.flush()
      return false
    }
    stack.expire(clock.now)
    stack.endTurn()
    // When many flows are due at once, it takes more than one turn until all have ended, or have a socket.
    const isLeft = this.flows.size - host.openSockets !== left
    return received > 0 || told > 0 || stack.nextDeadline() !== deadline || isLeft
  }

  nextDeadline(): number {
    return Math.min(this.stack.nextDeadline(), this.#injector?.nextDeadline() ?? Number.POSITIVE_INFINITY)
  }

  #makeLocalPath(options: true | SimulatedLocalPathOptions | undefined): SimulatedLocalPath | undefined {
    if (options === undefined) return undefined
    const { clock, arena, random, host } = this
    const { addresses } = this.guest
    return new SimulatedLocalPath({ clock, arena, random, host, addresses }, options === true ? {} : options)
  }
}

/**
 * Sets a stack up in memory, with a {@link ScriptedGuest} and a {@link SimulatedHost}, under a {@link VirtualClock}:
 *
 *     const { guest, host, run } = memoryStack([udp()])
 *
 * @param plugins the protocols, in the order in which they are asked
 */
export function memoryStack(plugins: readonly ProtocolPlugin[], options: MemoryStackOptions = {}): MemoryStack {
  return new MemoryStack(plugins, options)
}
