import { readFileSync } from "node:fs"
import { type Configuration, decodeConfiguration, forwardingRules } from "@demiflow/config"
import { Arena, Drops, type Link } from "@demiflow/core"
import { FixedFlowTable, ForwardingPolicy } from "@demiflow/flow"
import {
  attachArena,
  EpollEvent,
  EventLoop,
  LinuxHost,
  type Native,
  parseWaitStatus,
  SystemRandom,
  shellStatus,
} from "@demiflow/sys"
import { createStack, Tracer } from "@demiflow/tap"
import { openTap, TapLink } from "@demiflow/tun-tap"
import { captureTo } from "./capture.ts"
import type { Identity } from "./identity.ts"
import { DataPathDescriptor } from "./launch-steps.ts"
import { StandardErrorLog } from "./log.ts"
import { setUpNamespace } from "./namespace-setup.ts"
import type { DataPathSettings } from "./protocol.ts"
import { protocolPlugins } from "./protocols.ts"

/** Frames, held payload and tables. The kernel gives memory only for what is used. */
const ARENA_BYTES = 160 << 20
const DEFAULT_TAP_NAME = "tap0"
const FLOW_CAPACITY_VARIABLE = "DEMIFLOW_FLOW_CAPACITY"

/** The stack between a tap device and the host's sockets, with what drives it. */
export class DataPath {
  /** Process number of the command's init. */
  readonly init: number
  readonly #arena = new Arena(ARENA_BYTES)
  readonly #native: Native = attachArena(this.#arena)
  readonly #loop: EventLoop
  readonly #drops = new Drops()
  readonly #log: StandardErrorLog
  readonly #statusOffset = this.#arena.reserve(4, 4)
  #status: number | undefined

  /** Opens and sets up everything. Throws an error with a `code` whose message is for the user. */
  constructor({ configuration: encoded, identity, linkLocalScope }: DataPathSettings) {
    const configuration = decodeConfiguration(encoded)
    this.init = processOf(DataPathDescriptor.init)
    this.#log = new StandardErrorLog(configuration.verbosity)
    const tap = this.#openTap(configuration)
    const link = this.#wrap(tap, configuration)
    setUpNamespace(this.#native, this.#arena, DataPathDescriptor.network, tap.device.name, configuration)
    if (identity !== undefined) changeIdentity(identity)
    this.#loop = new EventLoop(this.#native, this.#arena)
    this.#assemble(configuration, link, tap.descriptor, linkLocalScope)
    this.#loop.watchDescriptor(DataPathDescriptor.init, EpollEvent.readable, () => this.#checkInit())
    // That the pipe's other end is closed is told unasked. The kernel's signal for this is lost with a change of user.
    this.#loop.watchDescriptor(DataPathDescriptor.report, 0, () => this.#loop.stop())
  }

  /** Moves packets until the command ends; answers its status, as shells tell it. Undefined: the launcher is gone. */
  async run(): Promise<number | undefined> {
    await this.#loop.run()
    if (this.#log.isDebug) {
      for (const [reason, count] of this.#drops.entries()) this.#log.debug(`dropped: ${count} (${reason})`)
    }
    return this.#status
  }

  #openTap(configuration: Configuration): TapLink {
    const device = openTap({
      name: configuration.namespace?.interfaceName ?? DEFAULT_TAP_NAME,
      namespaceDescriptor: DataPathDescriptor.network,
      offloads: true,
      arena: this.#arena,
    })
    return new TapLink(device, {
      drops: this.#drops,
      ...(configuration.mtu !== undefined && { mtu: configuration.mtu }),
    })
  }

  #wrap(tap: TapLink, { pcapPath }: Configuration): Link {
    const captured = pcapPath === undefined ? tap : captureTo(pcapPath, tap)
    return this.#log.isTrace ? new Tracer(captured, this.#log) : captured
  }

  #assemble(configuration: Configuration, link: Link, descriptor: number, linkLocalScope: number | undefined): void {
    const { v4, v6 } = configuration
    const loop = this.#loop
    const random = new SystemRandom(this.#native, this.#arena)
    const { stack, tap } = createStack({
      link,
      host: new LinuxHost(this.#native, this.#arena, loop, {
        ...(v4?.outboundInterface !== undefined && { interfaceV4: v4.outboundInterface }),
        ...(v6?.outboundInterface !== undefined && { interfaceV6: v6.outboundInterface }),
        ...(linkLocalScope !== undefined && { linkLocalScope }),
      }),
      flows: new FixedFlowTable({ random, drops: this.#drops, ...flowCapacity() }),
      forwarding: new ForwardingPolicy(forwardingRules(configuration), this.#drops),
      clock: loop.clock,
      random,
      plugins: protocolPlugins(configuration),
      log: this.#log,
      drops: this.#drops,
      ourMac: configuration.macAddress,
      ...(configuration.mtu !== undefined && { mtu: configuration.mtu }),
      ...(v6 !== undefined && { ourLinkLocal: v6.ourLinkLocal }),
      ...(v4 !== undefined && { guestV4: v4.guestAddress }),
      ...(v6?.guestAddress !== undefined && { guestV6: v6.guestAddress }),
    })
    loop.hooks.onSide = (side, events) => stack.fromHost(side, events)
    loop.hooks.nextDeadline = () => stack.nextDeadline()
    loop.hooks.onTimer = (now) => stack.expire(now)
    loop.hooks.endTurn = () => stack.endTurn()
    loop.clock.advance()
    stack.start()
    stack.endTurn()
    loop.watchDescriptor(descriptor, EpollEvent.readable, () => {
      // The interface is gone with its namespace: what is left is to wait for the command's end.
      if (tap.receive() < 0) loop.unwatch(descriptor)
    })
  }

  #checkInit(): void {
    const WNOHANG = 1
    if (this.#native.waitPid(this.init, WNOHANG, this.#statusOffset) === 0) return
    this.#status = shellStatus(parseWaitStatus(this.#arena.words[this.#statusOffset >> 2]))
    this.#loop.unwatch(DataPathDescriptor.init)
    this.#loop.stop()
  }
}

/** The size of the flow table, where the environment asks for another one than the usual: for tests of a full table. */
function flowCapacity(): { capacity?: number } {
  const wanted = process.env[FLOW_CAPACITY_VARIABLE]
  return wanted === undefined ? {} : { capacity: Number(wanted) }
}

/** The number of the process behind a pidfd. */
function processOf(pidfd: number): number {
  return Number(/^Pid:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, "latin1"))?.[1])
}

/** Leaves root's privileges behind, all of them. */
function changeIdentity({ user, group }: Identity): void {
  process.setgroups?.([])
  process.setgid?.(group)
  process.setuid?.(user)
}
