import { type Configuration, forwardingRules, guestAddressOptions, hostNeighbourOptions } from "@demiflow/config"
import { Arena, Drops, ETHERNET_MTU, type Link, type LocalPath } from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import type { CreateStackOptions } from "@demiflow/stack"
import {
  attachArena,
  DescriptorShares,
  descriptorLimit,
  EventLoop,
  HostAddresses,
  LinuxSockets,
  type Native,
  SystemRandom,
} from "@demiflow/sys"
import { type TapOptions, Tracer } from "@demiflow/tap"
import type { BoundedLog } from "./bounded-log.ts"
import { captureTo } from "./capture.ts"
import { compileEarly } from "./compile-early.ts"
import type { ProgramLog } from "./log.ts"
import { protocolPlugins } from "./protocols.ts"

/** For frames, held payload and tables. The kernel provides memory only for the parts in use. */
const ARENA_BYTES = 160 << 20
const FLOW_CAPACITY_VARIABLE = "DEMIFLOW_FLOW_CAPACITY"

/** The parts that a stack is assembled from, besides its configuration. */
export interface AssemblyParts extends Pick<TapOptions, "onGuestMac" | "onOtherGuest" | "transmitBytes"> {
  readonly link: Link
  /** For lines that the guest causes, and therefore bounded: see `BoundedLog`. */
  readonly log: BoundedLog
  /** Index of the host interface on which link-local IPv6 addresses are reached; undefined: the kernel's choice. */
  readonly linkLocalScope: number | undefined
  /** Sockets inside the guest's namespace; absent: all traffic uses the link. */
  readonly localPath?: LocalPath | undefined
}

/** The parts that every data path needs. One a process. */
export class Machinery {
  readonly arena: Arena = new Arena(ARENA_BYTES)
  readonly native: Native = attachArena(this.arena)
  readonly loop: EventLoop = new EventLoop(this.native, this.arena)
  readonly shares: DescriptorShares = new DescriptorShares(this.native, descriptorLimit())
  readonly drops: Drops = new Drops()
  #flows: FixedFlowTable | undefined

  /** The current number of flows. */
  get flowCount(): number {
    return this.#flows?.size ?? 0
  }

  /** Wraps the link with what the user wants to see of it: a capture, a line for each packet. Throws `Quit`. */
  observe(link: Link, { pcapPath }: Configuration, log: ProgramLog): Link {
    const captured = pcapPath === undefined ? link : captureTo(pcapPath, link, log)
    return log.isTrace ? new Tracer(captured, log) : captured
  }

  /** What a stack with all protocols of the configuration is created from, between the link and the host's sockets. */
  stackOptions(configuration: Configuration, parts: AssemblyParts): CreateStackOptions {
    const { v4, v6, isHostClosed } = configuration
    const { loop, native, arena, shares, drops } = this
    const { linkLocalScope, ...others } = parts
    const random = new SystemRandom(native, arena)
    this.#flows = new FixedFlowTable({ random, drops, ...flowCapacity() })
    loop.clock.advance()
    return {
      ...others,
      loop,
      sockets: new LinuxSockets(native, arena, loop, {
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
      random,
      plugins: protocolPlugins(configuration),
      drops,
      ourMac: configuration.macAddress,
      unaskedMtu: ETHERNET_MTU,
      ...(configuration.mtu !== undefined && { mtu: configuration.mtu }),
      ...(v6 !== undefined && { ourLinkLocal: v6.ourLinkLocal }),
      ...guestAddressOptions(configuration),
      ...hostNeighbourOptions(configuration),
    }
  }

  /** Moves packets until the loop is stopped. */
  run(): Promise<void> {
    // Not earlier: V8 would reject the runtime's own code, compiled with other options, and compile it again.
    compileEarly()
    return this.loop.run()
  }

  /** Logs what was dropped, while debugging. */
  logDrops(log: ProgramLog): void {
    if (!log.isDebug) return
    for (const [reason, count] of this.drops.entries()) log.debug(`dropped: ${count} (${reason})`)
  }
}

/** The size of the flow table, if the environment sets one: for tests of a full table. */
function flowCapacity(): { capacity?: number } {
  const wanted = process.env[FLOW_CAPACITY_VARIABLE]
  return wanted === undefined ? {} : { capacity: Number(wanted) }
}
