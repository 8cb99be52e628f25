import { dirname, resolve } from "node:path"
import { type Configuration, defaultSocketPaths } from "@demiflow/config"
import type { MacAddress } from "@demiflow/core"
import { PortForwarding } from "@demiflow/flow"
import { sentenceOf } from "@demiflow/program/command"
import {
  BoundedLog,
  CountingLink,
  changeIdentity,
  checkSpareDescriptors,
  type DataPathSettings,
  type Identity,
  type LogSink,
  logStatistics,
  type Machinery,
  openForwardedPorts,
  openLog,
  openPesto,
  type PestoSocket,
  type ProgramLog,
  passtCalls,
  type WallHelper,
  watchHostNeighbours,
} from "@demiflow/program/data-path"
import { createStack, type RunningStack } from "@demiflow/stack"
import { listenAt, listenAtFirstFree, type StreamListener } from "@demiflow/stream-link"
import type { CallRule } from "@demiflow/sys"
import type { GuestPort } from "./guest-port.ts"
import { StationLog } from "./station-log.ts"
import { streamPort } from "./stream-port.ts"
import { vhostUserPort } from "./vhost-user-port.ts"

/** Bytes that a turn may queue for the guest: the link keeps twice as much while the hypervisor takes nothing. */
const TRANSMIT_BYTES = 2 << 20

/** What a data path needs to know: `DataPathSettings`, decoded. */
export interface DataPathOptions extends Omit<DataPathSettings, "configuration" | "helper"> {
  readonly configuration: Configuration
  readonly helper?: WallHelper | undefined
}

/** The stack between a hypervisor and the host's sockets, with the parts that drive it. */
export class DataPath {
  readonly #machinery: Machinery
  readonly #configuration: Configuration
  readonly #options: DataPathOptions
  readonly #log: ProgramLog
  /** For lines that guest and hypervisor cause. */
  readonly #events: BoundedLog
  readonly #stationLog: StationLog
  readonly #port: GuestPort
  #running: RunningStack | undefined
  #listener: StreamListener | undefined
  #pesto: PestoSocket | undefined
  #sinks: readonly LogSink[] = []
  #statistics: NodeJS.Timeout | undefined
  #isStopping = false
  #wasReady = false

  /** Opens nothing yet. */
  constructor(machinery: Machinery, options: DataPathOptions, log: ProgramLog) {
    this.#machinery = machinery
    this.#options = options
    this.#configuration = options.configuration
    this.#log = log
    this.#events = new BoundedLog(log, machinery.loop.clock)
    this.#stationLog = new StationLog(this.#events)
    const { mtu } = this.#configuration
    const openPort = this.#isVhostUser ? vhostUserPort : streamPort
    this.#port = openPort(machinery, mtu, {
      onConnected: (process) => this.#events.info(`accepted connection${from(process)}`),
      onReady: () => this.#onReady(),
      onRefused: (process) => this.#events.info(`refused a second connection${from(process)}`),
      onAcceptError: (errno) => this.#events.warning(`Can't accept the hypervisor's connection: error ${errno}`),
      onFrames: () => this.#running?.framesWait(),
      onResume: () => this.#running?.stack.resume(),
      onGone: (text, isFault) => this.#onGone(text, isFault),
    })
  }

  /** The system calls that the process needs once everything is open. */
  get calls(): CallRule[] {
    const changesPorts = this.#pesto !== undefined
    return passtCalls(process.pid, this.folders, { isVhostUser: this.#isVhostUser, changesPorts })
  }

  /** Where hypervisors connect; undefined if one was connected from the start. */
  get socketPath(): string | undefined {
    return this.#listener?.path
  }

  /** Descriptors of the folders from which a file is removed in the end. */
  get folders(): readonly number[] {
    const folder = this.#listener?.folder ?? -1
    return folder < 0 ? [] : [folder]
  }

  /** Where the log goes, besides standard error in the foreground. */
  get logSinks(): readonly LogSink[] {
    return this.#sinks
  }

  /**
   * Opens everything, and changes to the user that it is to run as. Throws an error with a `code` whose message is for
   * the user; call {@link DataPath.close} then as well.
   *
   * @param openMore opens further files, before the change of user
   */
  open(openMore: () => void = () => {}): void {
    const { identity, linkLocalScope } = this.#options
    const { native, arena, drops } = this.#machinery
    const { statisticsInterval } = this.#configuration
    this.#sinks = openLog(native, arena, this.#configuration)
    const counting = statisticsInterval === undefined ? this.#port.link : new CountingLink(this.#port.link)
    const link = this.#machinery.observe(counting, this.#configuration, this.#log)
    const parts = {
      link,
      log: this.#events,
      linkLocalScope,
      transmitBytes: TRANSMIT_BYTES,
      onGuestMac: (mac: Readonly<MacAddress>) => this.#stationLog.seen(mac),
      onOtherGuest: () => this.#onOtherGuest(),
    }
    this.#running = createStack({
      ...this.#machinery.stackOptions(this.#configuration, parts),
      isGuestLate: true,
      onLinkError: () => this.#port.checkEnd(),
    })
    watchHostNeighbours(this.#machinery, this.#configuration, this.#running.tap.hostNeighbours, this.#events)
    this.#openSocket()
    const forwarding = new PortForwarding(this.#running.stack)
    openForwardedPorts(forwarding, this.#configuration.forwarding)
    checkSpareDescriptors(native)
    this.#pesto = openPesto(this.#machinery, this.#configuration, forwarding, this.#events, listenAt)
    openMore()
    if (identity !== undefined) this.#become(identity)
    if (statisticsInterval === undefined || !(counting instanceof CountingLink)) return
    const counters = { link: counting, drops, flowCount: () => this.#machinery.flowCount }
    this.#statistics = logStatistics(counters, statisticsInterval, this.#log)
  }

  /**
   * Moves packets until {@link DataPath.stop}, or until the only hypervisor is gone. Logs every error that it throws.
   */
  async run(): Promise<void> {
    try {
      await this.#run()
    } catch (error) {
      // Standard error is left to the caller, who catches the error.
      this.#log.sinks = this.#sinks
      this.#log.error(sentenceOf(error))
      throw error
    }
  }

  async #run(): Promise<void> {
    const { hypervisor } = this.#configuration
    if (this.#isStopping) return
    if (hypervisor?.descriptor !== undefined) {
      this.#port.adopt(hypervisor.descriptor)
      this.#running?.stack.endTurn()
    }
    await this.#machinery.run()
  }

  /** Ends {@link DataPath.run}. */
  stop(): void {
    this.#isStopping = true
    this.#machinery.loop.stop()
  }

  /** Ends all flows, and removes the socket's file. */
  close(): void {
    clearInterval(this.#statistics)
    this.#pesto?.close()
    this.#running?.close()
    this.#port.close()
    this.#listener?.close()
    this.#events.finish()
    this.#machinery.logDrops(this.#log)
  }

  get #isVhostUser(): boolean {
    return this.#configuration.hypervisor?.isVhostUser === true
  }

  #openSocket(): void {
    const { native, arena } = this.#machinery
    const { hypervisor } = this.#configuration
    if (hypervisor?.descriptor !== undefined) return
    const path = hypervisor?.socketPath
    this.#options.helper?.mountOnItself(dirname(resolve(path ?? defaultSocketPaths()[0])))
    this.#listener =
      path === undefined ? listenAtFirstFree(native, arena, defaultSocketPaths()) : listenAt(native, arena, path)
    this.#port.listen(this.#listener)
  }

  #become(identity: Identity): void {
    try {
      // The process will be this user when it removes the file.
      this.#listener?.giveTo(identity.user, identity.group)
    } catch {
      // A process that may not give files away may not change its user either; the change of user reports the error.
    }
    changeIdentity(identity)
  }

  #onReady(): void {
    this.#stationLog.restart()
    if (this.#wasReady) this.#running?.tap.reconnected()
    this.#running?.stack.start()
    if (this.#wasReady) this.#running?.stack.reconnected()
    this.#wasReady = true
  }

  #onGone(text: string, isFault: boolean): void {
    if (isFault) this.#events.warning(text)
    else this.#events.info(text)
    if (this.#configuration.hypervisor?.oneOff) this.stop()
  }

  /** This is another guest than before: it knows nothing of the flows that the earlier one began. */
  #onOtherGuest(): void {
    this.#events.info("Another guest than before: ending the flows of the last one")
    this.#running?.stack.stop()
    this.#running?.tap.forgetGuest()
    this.#running?.stack.start()
  }
}

function from(process: number): string {
  return process === 0 ? "" : ` from PID ${process}`
}
