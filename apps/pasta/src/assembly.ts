import { readFileSync } from "node:fs"
import { type Configuration, decodeConfiguration } from "@demiflow/config"
import type { Link } from "@demiflow/core"
import {
  changeIdentity,
  type DataPathSettings,
  Machinery,
  ProgramLog,
  standardError,
} from "@demiflow/program/data-path"
import { EpollEvent, parseWaitStatus, shellStatus } from "@demiflow/sys"
import { openTap, TapLink } from "@demiflow/tun-tap"
import { DataPathDescriptor } from "./launch-steps.ts"
import { setUpNamespace } from "./namespace-setup.ts"
import { openLocalPath, openPorts } from "./ports.ts"

const DEFAULT_TAP_NAME = "tap0"

/** The stack between a tap device and the host's sockets, with what drives it. */
export class DataPath {
  /** Process number of the command's init. */
  readonly init: number
  readonly #machinery = new Machinery()
  readonly #log: ProgramLog
  readonly #statusOffset = this.#machinery.arena.reserve(4, 4)
  #status: number | undefined

  /** Opens and sets up everything. Throws an error with a `code` whose message is for the user. */
  constructor({ configuration: encoded, identity, linkLocalScope }: DataPathSettings) {
    const configuration = decodeConfiguration(encoded)
    const { native, arena, loop } = this.#machinery
    this.init = processOf(DataPathDescriptor.init)
    this.#log = createLog(configuration)
    const tap = this.#openTap(configuration)
    const link = this.#machinery.observe(tap, configuration, this.#log)
    setUpNamespace(native, arena, DataPathDescriptor.network, tap.device.name, configuration)
    this.#assemble(configuration, link, tap.descriptor, linkLocalScope)
    if (identity !== undefined) changeIdentity(identity)
    loop.watchDescriptor(DataPathDescriptor.init, EpollEvent.readable, () => this.#checkInit())
    // That the pipe's other end is closed is told unasked. The kernel's signal for this is lost with a change of user.
    loop.watchDescriptor(DataPathDescriptor.report, 0, () => loop.stop())
  }

  /** Moves packets until the command ends; answers its status, as shells tell it. Undefined: the launcher is gone. */
  async run(): Promise<number | undefined> {
    await this.#machinery.loop.run()
    this.#machinery.tellDrops(this.#log)
    return this.#status
  }

  #openTap(configuration: Configuration): TapLink {
    const device = openTap({
      name: configuration.namespace?.interfaceName ?? DEFAULT_TAP_NAME,
      namespaceDescriptor: DataPathDescriptor.network,
      offloads: true,
      arena: this.#machinery.arena,
    })
    return new TapLink(device, {
      drops: this.#machinery.drops,
      ...(configuration.mtu !== undefined && { mtu: configuration.mtu }),
    })
  }

  #assemble(configuration: Configuration, link: Link, descriptor: number, linkLocalScope: number | undefined): void {
    const { loop } = this.#machinery
    const localPath = openLocalPath(this.#machinery, configuration, DataPathDescriptor.network)
    const { stack, tap } = this.#machinery.assemble(configuration, {
      link,
      log: this.#log,
      linkLocalScope,
      localPath,
    })
    openPorts(this.#machinery, stack, configuration, DataPathDescriptor.network)
    stack.start()
    stack.endTurn()
    loop.watchDescriptor(descriptor, EpollEvent.readable, () => {
      // The interface is gone with its namespace: what is left is to wait for the command's end.
      if (tap.receive() < 0) loop.unwatch(descriptor)
    })
  }

  #checkInit(): void {
    const WNOHANG = 1
    const { native, arena, loop } = this.#machinery
    if (native.waitPid(this.init, WNOHANG, this.#statusOffset) === 0) return
    this.#status = shellStatus(parseWaitStatus(arena.words[this.#statusOffset >> 2]))
    loop.unwatch(DataPathDescriptor.init)
    loop.stop()
  }
}

function createLog({ verbosity }: Configuration): ProgramLog {
  const log = new ProgramLog(verbosity, false, [])
  log.sinks = [standardError(log.isDebug)]
  return log
}

/** The number of the process behind a pidfd. */
function processOf(pidfd: number): number {
  return Number(/^Pid:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, "latin1"))?.[1])
}
