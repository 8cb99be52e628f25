import type { Configuration } from "@demiflow/config"
import type { Link } from "@demiflow/core"
import { Quit } from "@demiflow/program/command"
import {
  BoundedLog,
  CountingLink,
  changeIdentity,
  type DataPathSettings,
  endOnSignals,
  endWithLauncher,
  logStatistics,
  type Machinery,
  namespaceHelperCalls,
  type ProgramLog,
  processBehind,
  watchHostNeighbours,
} from "@demiflow/program/data-path"
import { createStack } from "@demiflow/stack"
import { checkResult, EpollEvent, encodeFilter, HelpedNamespace } from "@demiflow/sys"
import { NoLink, type TapSide } from "@demiflow/tap"
import { openTap, TapLink } from "@demiflow/tun-tap"
import { watchCommand } from "./command-life.ts"
import { DataPathDescriptor } from "./descriptors.ts"
import { enterNamespace, enterNewNamespace } from "./enter-namespace.ts"
import { explainLostTap } from "./failures.ts"
import { setUpNamespace } from "./namespace-setup.ts"
import { watchNamespace } from "./namespace-watch.ts"
import { openLocalPath, openPorts } from "./ports.ts"

const DEFAULT_TAP_NAME = "tap0"
const EPERM = 1
/** Of capabilities(7). */
const BIND_PRIVILEGED_PORTS = 10

/** What a data path needs to know: `DataPathSettings`, decoded. */
export interface DataPathOptions extends Omit<DataPathSettings, "configuration"> {
  readonly configuration: Configuration
  /** True if it runs in the background and outlives its launcher. */
  readonly isBackground: boolean
}

/** The stack between a tap device and the host's sockets, with the parts that drive it. */
export class DataPath {
  /** Process id of the command's init, if there is a command. */
  readonly init: number | undefined
  /** True if the helper checks whether the namespace is still at its path. */
  readonly watchesPath: boolean
  readonly #machinery: Machinery
  readonly #log: ProgramLog
  readonly #namespace: HelpedNamespace
  /** For lines that the guest causes. */
  readonly #events: BoundedLog
  #hasLocalPath = false
  #status: number | undefined
  #failure: Quit | undefined

  /** Opens and sets up everything. Throws an error with a `code` whose message is for the user. */
  constructor(machinery: Machinery, options: DataPathOptions, log: ProgramLog) {
    const { configuration, identity, linkLocalScope, isBackground } = options
    const { native, arena } = machinery
    const { namespace, statisticsInterval } = configuration
    this.#machinery = machinery
    this.#log = log
    this.#events = new BoundedLog(log, machinery.loop.clock)
    const target = namespace?.target
    const inside = new HelpedNamespace(
      native,
      arena,
      DataPathDescriptor.namespace,
      processBehind(DataPathDescriptor.helper),
    )
    this.#namespace = inside
    const existing = target === undefined || target.kind === "new" ? undefined : target
    if (existing === undefined) {
      this.init = processBehind(DataPathDescriptor.process)
      enterNewNamespace(native, inside)
    }
    const descriptor = existing === undefined ? -1 : enterNamespace(native, inside, existing)
    const tap = configuration.splicing?.isOnly ? undefined : this.#openTap(configuration)
    const plain = tap ?? new NoLink(arena)
    const counting = statisticsInterval === undefined ? undefined : new CountingLink(plain)
    const link = machinery.observe(counting ?? plain, configuration, log)
    const station = setUpNamespace(native, arena, inside, tap?.device.name, configuration, log)
    this.watchesPath =
      existing !== undefined &&
      namespace?.quitsWithNamespace === true &&
      watchNamespace(machinery, existing, { descriptor, namespace: inside }, log, () => this.#end(0))
    const side = this.#assemble(configuration, link, tap, linkLocalScope)
    if (station !== undefined && configuration.mtu !== undefined) side.noticeMtuOf(station, configuration.mtu)
    this.#sealNamespace()
    // Not earlier: the other user may not open all ports.
    if (identity !== undefined) changeIdentity(identity)
    if (this.init !== undefined) watchCommand(machinery, this.init, (status) => this.#end(status))
    else endOnSignals({ stop: () => this.#end(0) })
    if (!isBackground) endWithLauncher(machinery, DataPathDescriptor.report)
    if (statisticsInterval === undefined || counting === undefined) return
    const { drops } = machinery
    logStatistics({ link: counting, drops, flowCount: () => machinery.flowCount }, statisticsInterval, log)
  }

  /**
   * Moves packets until the command ends, the namespace is gone, or a signal arrives. Returns the status to end with: a
   * command's as shells report it, undefined if the launcher is gone. Throws `Quit` if the tap device is gone, or the
   * helper of a command.
   */
  async run(): Promise<number | undefined> {
    if (this.#status === undefined) await this.#machinery.run()
    this.#events.finish()
    this.#machinery.logDrops(this.#log)
    if (this.#failure !== undefined) throw this.#failure
    return this.#status
  }

  #end(status: number): void {
    this.#status = status
    this.#machinery.loop.stop()
  }

  #openTap(configuration: Configuration): TapLink {
    const device = openTap({
      name: configuration.namespace?.interfaceName ?? DEFAULT_TAP_NAME,
      namespace: this.#namespace,
      offloads: true,
      arena: this.#machinery.arena,
    })
    return new TapLink(device, {
      drops: this.#machinery.drops,
      ...(configuration.mtu !== undefined && { mtu: configuration.mtu }),
    })
  }

  #assemble(
    configuration: Configuration,
    link: Link,
    device: TapLink | undefined,
    linkLocalScope: number | undefined,
  ): TapSide {
    const localPath = openLocalPath(this.#machinery, configuration, this.#namespace, device?.device.name)
    this.#hasLocalPath = localPath !== undefined
    const parts = { link, log: this.#events, linkLocalScope, localPath }
    const { stack, tap } = createStack({
      ...this.#machinery.stackOptions(configuration, parts),
      ...(device !== undefined && { linkDescriptor: device.descriptor }),
      onLinkError: (errno) => this.#loseTap(device, errno),
    })
    watchHostNeighbours(this.#machinery, configuration, tap.hostNeighbours, this.#events)
    openPorts(this.#machinery, stack, configuration, this.#namespace, this.#events)
    stack.start()
    stack.endTurn()
    return tap
  }

  /**
   * Takes from the helper what it needs no more, or ends it. Call this once everything is open: from then on the helper
   * only opens sockets of the local path and checks a path.
   */
  #sealNamespace(): void {
    const { native, loop } = this.#machinery
    const namespace = this.#namespace
    if (!this.#hasLocalPath && !this.watchesPath) {
      namespace.close()
      return
    }
    const calls = namespaceHelperCalls(this.watchesPath, this.#hasLocalPath)
    const filter = encodeFilter(native, calls, { kind: "error", errno: EPERM })
    // The local path preserves source ports of flows, also below 1024.
    const kept = this.#hasLocalPath ? [BIND_PRIVILEGED_PORTS] : []
    checkResult(namespace.seal(kept, filter ?? new Uint8Array()), "take privileges from the helper")
    namespace.onLost = () => this.#loseNamespace()
    loop.watchDescriptor(namespace.descriptor, EpollEvent.readable, namespace.onLost)
  }

  /** Processes in the namespace can control the helper: stopping it harms only themselves. */
  #loseNamespace(): void {
    const text = "The helper in the network namespace has ended, or doesn't answer"
    this.#machinery.loop.unwatch(this.#namespace.descriptor)
    if (this.init === undefined) this.#log.warning(text)
    else this.#failure = new Quit(text)
    this.#end(0)
  }

  /** The guest can't be reached any more, so the program ends. */
  #loseTap(link: TapLink | undefined, errno: number): void {
    this.#failure = new Quit(explainLostTap(link?.device.name ?? DEFAULT_TAP_NAME, errno))
    this.#machinery.loop.stop()
  }
}
