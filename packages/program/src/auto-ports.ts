/**
 * Forwarded ports that follow what is bound: `auto`.
 *
 * The kernel reports no event for a port that is bound, so both ends are polled.
 */
import { Interface, type InterfaceId, type Log } from "@demiflow/core"
import type { PortForwarding } from "@demiflow/flow"
import type { BoundPorts } from "@demiflow/sys"

/** Minimum interval between scans, milliseconds. */
const INTERVAL = 1000
/** A scan delays packets, so the interval is at least this many times as long as the last scan took … */
const SPARING = 50
/** … but at most this, milliseconds: a scan also takes long if the process was stopped meanwhile. */
const LONGEST_INTERVAL = 30_000
/** Minimum interval between warnings about ports that stay closed, milliseconds. */
const WARNING_INTERVAL = 60_000

/** Opens and closes the ports of a table's rules as the ports that they follow are bound and released. */
export class AutoPorts {
  readonly #forwarding: Pick<PortForwarding, "follow">
  readonly #host: Pick<BoundPorts, "of" | "connected">
  readonly #namespace: Pick<BoundPorts, "of" | "connected">
  readonly #log: Pick<Log, "warning">
  #warnedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /**
   * @param host ports bound on the host
   * @param namespace ports bound inside the guest's namespace
   */
  constructor(
    forwarding: Pick<PortForwarding, "follow">,
    host: Pick<BoundPorts, "of" | "connected">,
    namespace: Pick<BoundPorts, "of" | "connected">,
    log: Pick<Log, "warning">,
  ) {
    this.#forwarding = forwarding
    this.#host = host
    this.#namespace = namespace
    this.#log = log
  }

  /** True if it scans at intervals. */
  get isRunning(): boolean {
    return this.#timer !== undefined
  }

  /** Scans for the first time, and then at intervals. */
  start(): void {
    this.#pollAndContinue()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #pollAndContinue(): void {
    const began = process.hrtime.bigint()
    this.#poll()
    const took = Number(process.hrtime.bigint() - began) / 1e6
    const pause = Math.min(Math.max(INTERVAL, took * SPARING), LONGEST_INTERVAL)
    this.#timer = setTimeout(() => this.#pollAndContinue(), pause)
  }

  #poll(): void {
    this.#follow(Interface.host, this.#namespace)
    this.#follow(Interface.splice, this.#host)
  }

  /** Opens at one end the ports that are bound at the other. */
  #follow(end: InterfaceId, other: Pick<BoundPorts, "of" | "connected">): void {
    const isShort = this.#forwarding.follow(
      end,
      (protocol) => other.of(protocol),
      (protocol) => other.connected(protocol),
    )
    if (isShort) this.#warn()
  }

  #warn(): void {
    const now = performance.now()
    if (now - this.#warnedAt < WARNING_INTERVAL) return
    this.#warnedAt = now
    this.#log.warning(
      "More ports are bound than descriptors are left for: some automatic ports stay closed. Raise the limit (ulimit -n)",
    )
  }
}
