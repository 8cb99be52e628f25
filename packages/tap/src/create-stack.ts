import {
  Address,
  type Clock,
  Drops,
  type FlowTable,
  type Forwarding,
  type Host,
  type Link,
  type LocalPath,
  type Log,
  MacAddress,
  type ProtocolPlugin,
  type Random,
  Stack,
  silentLog,
} from "@demiflow/core"
import { type TapOptions, TapSide } from "./tap-side.ts"

/** What a stack is assembled from. */
export interface CreateStackOptions extends Omit<TapOptions, "link" | "drops" | "ourMac" | "ourLinkLocal"> {
  /** The guest's end. Its arena has room for `tapArenaBytes()` and for what the plugins reserve. */
  readonly link: Link
  /** The host's end, on the same arena. */
  readonly host: Host
  /** Sockets inside the guest's namespace, on the same arena; absent for a guest that has none. */
  readonly localPath?: LocalPath | undefined
  readonly flows: FlowTable
  readonly forwarding: Forwarding
  readonly clock: Clock
  readonly random: Random
  /** The protocols, in the order in which they are asked. */
  readonly plugins: readonly ProtocolPlugin[]
  /** Silent if not given. */
  readonly log?: Log
  /** Where drops are counted; give the one that the link and the flow table count in. */
  readonly drops?: Drops
  /** 9a:55:9a:55:9a:55 if not given. */
  readonly ourMac?: MacAddress
  /** Made of our Ethernet address if not given. */
  readonly ourLinkLocal?: Address
}

/** A stack and what drives it. */
export interface RunningStack {
  readonly stack: Stack
  readonly tap: TapSide
  /**
   * One turn: packets from the guest, timers, then output to the link; the first one starts the stack. Host events are
   * handed to `stack.fromHost` by the caller, before the turn that is to answer them. Answers the frames that came
   * from the guest, or the link's negative error number if the guest is gone.
   */
  turn(): number
}

/**
 * Assembles a tap side and a stack with its protocols. Throws {@link ArenaMismatchError}, and what `TapSide` throws.
 */
export function createStack(options: CreateStackOptions): RunningStack {
  const { link, host, localPath, flows, forwarding, clock, random, plugins } = options
  if (link.arena !== host.arena || (localPath && localPath.host.arena !== host.arena)) throw new ArenaMismatchError()
  const drops = options.drops ?? new Drops()
  const ourMac = options.ourMac ?? new MacAddress(0x9a55, 0x9a559a55)
  const tap = new TapSide({
    ...options,
    drops,
    ourMac,
    ourLinkLocal: options.ourLinkLocal ?? linkLocalOf(ourMac),
  })
  const log = options.log ?? silentLog
  const parts = { arena: link.arena, guest: tap, host, localPath, flows, forwarding, clock, random, log, drops }
  const stack = new Stack(parts, plugins)
  tap.attach(stack)
  return {
    stack,
    tap,
    turn(): number {
      stack.start()
      const received = tap.receive()
      stack.expire(clock.now)
      stack.endTurn()
      return received
    },
  }
}

/** The link-local address with the interface identifier of an Ethernet address (RFC 4291, appendix A). */
export function linkLocalOf(mac: MacAddress): Address {
  const high = (mac.high ^ 0x0200) << 16
  const upper = high | ((mac.low >>> 24) << 8) | 0xff
  return new Address(0xfe800000, 0, upper, 0xfe000000 | (mac.low & 0xffffff))
}

/** Link and host don't share the memory in which payload moves between them. */
export class ArenaMismatchError extends Error {
  readonly code = "ERR_ARENA_MISMATCH"

  constructor() {
    super("The link and the host use different arenas: create both with the same one")
    this.name = "ArenaMismatchError"
  }
}
