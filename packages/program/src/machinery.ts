import { type Configuration, forwardingRules, guestAddressOptions, hostNeighbourOptions } from "@demiflow/config"
import { Arena, Drops, ETHERNET_MTU, type Link, type LocalPath } from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import {
  attachArena,
  DescriptorShares,
  descriptorLimit,
  EventLoop,
  HostAddresses,
  LinuxHost,
  type Native,
  SystemRandom,
} from "@demiflow/sys"
import { createStack, type RunningStack, type TapOptions, Tracer } from "@demiflow/tap"
import type { BoundedLog } from "./bounded-log.ts"
import { captureTo } from "./capture.ts"
import { compileEarly } from "./compile-early.ts"
import { watchHostNeighbours } from "./host-neighbours.ts"
import type { ProgramLog } from "./log.ts"
import { protocolPlugins } from "./protocols.ts"

/** Frames, held payload and tables. The kernel gives memory only for what is used. */
const ARENA_BYTES = 160 << 20
const FLOW_CAPACITY_VARIABLE = "DEMIFLOW_FLOW_CAPACITY"

/** What a stack is assembled from, beside its configuration. */
export interface AssemblyParts extends Pick<TapOptions, "onGuestMac" | "onOtherGuest" | "transmitBytes"> {
  readonly link: Link
  /** For what the guest causes, and so with bounds: see `BoundedLog`. */
  readonly log: BoundedLog
  /** Index of the host interface on which link-local IPv6 addresses are reached; undefined: the kernel's choice. */
  readonly linkLocalScope: number | undefined
  /** Sockets inside the guest's namespace; absent: everything goes over the link. */
  readonly localPath?: LocalPath | undefined
}

/** What every data path stands on. One a process. */
export class Machinery {
  readonly arena: Arena = new Arena(ARENA_BYTES)
  readonly native: Native = attachArena(this.arena)
  readonly loop: EventLoop = new EventLoop(this.native, this.arena)
  readonly shares: DescriptorShares = new DescriptorShares(this.native, descriptorLimit())
  readonly drops: Drops = new Drops()
  #flows: FixedFlowTable | undefined

  /** Flows that there are now. */
  get flowCount(): number {
    return this.#flows?.size ?? 0
  }

  /** The link with what the user wants to see of it: a capture, a line for each packet. Throws `Quit`. */
  observe(link: Link, { pcapPath }: Configuration, log: ProgramLog): Link {
    const captured = pcapPath === undefined ? link : captureTo(pcapPath, link, log)
    return log.isTrace ? new Tracer(captured, log) : captured
  }

  /** A stack with all protocols between the link and the host's sockets, driven by the loop. It isn't started. */
  assemble(configuration: Configuration, parts: AssemblyParts): RunningStack {
    const { v4, v6, isHostClosed } = configuration
    const { loop, native, arena, shares, drops } = this
    const { linkLocalScope, ...others } = parts
    const random = new SystemRandom(native, arena)
    this.#flows = new FixedFlowTable({ random, drops, ...flowCapacity() })
    const running = createStack({
      ...others,
      host: new LinuxHost(native, arena, loop, {
        shares,
        ...(v4?.outboundInterface !== undefined && { interfaceV4: v4.outboundInterface }),
        ...(v6?.outboundInterface !== undefined && { interfaceV6: v6.outboundInterface }),
        ...(linkLocalScope !== undefined && { linkLocalScope }),
        ...(v6?.dnsHost !== undefined &&
          v6.dnsHostScope !== undefined && { scopedAddress: { address: v6.dnsHost, scope: v6.dnsHostScope } }),
      }),
      flows: this.#flows,
      forwarding: new ForwardingPolicy(
        forwardingRules(configuration),
        drops,
        isHostClosed
          ? new HostAddresses(native, arena, { linkLocalScope, warn: (message) => parts.log.warning(message) })
          : undefined,
      ),
      clock: loop.clock,
      random,
      plugins: protocolPlugins(configuration),
      drops,
      ourMac: configuration.macAddress,
      unaskedMtu: ETHERNET_MTU,
      ...(configuration.mtu !== undefined && { mtu: configuration.mtu }),
      ...(v6 !== undefined && { ourLinkLocal: v6.ourLinkLocal }),
      ...guestAddressOptions(configuration),
      ...hostNeighbourOptions(configuration),
    })
    const { stack, tap } = running
    loop.hooks.onSide = (side, events) => stack.fromHost(side, events)
    loop.hooks.onListener = (listener, events) => stack.fromListener(listener, events)
    loop.hooks.nextDeadline = () => stack.nextDeadline()
    loop.hooks.onTimer = (now) => stack.expire(now)
    loop.hooks.endTurn = () => stack.endTurn()
    loop.clock.advance()
    watchHostNeighbours(this, configuration, tap.hostNeighbours, parts.log)
    return running
  }

  /** Moves packets until the loop is stopped. */
  run(): Promise<void> {
    // Not before: V8 then knows no code of the runtime's own that was compiled with other options, and compiles it again.
    compileEarly()
    return this.loop.run()
  }

  /** Tells who debugs what was dropped. */
  tellDrops(log: ProgramLog): void {
    if (!log.isDebug) return
    for (const [reason, count] of this.drops.entries()) log.debug(`dropped: ${count} (${reason})`)
  }
}

/** The size of the flow table, where the environment asks for another one than the usual: for tests of a full table. */
function flowCapacity(): { capacity?: number } {
  const wanted = process.env[FLOW_CAPACITY_VARIABLE]
  return wanted === undefined ? {} : { capacity: Number(wanted) }
}
