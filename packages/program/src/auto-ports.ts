/**
 * Forwarded ports that follow what is bound: `auto`.
 *
 * The kernel has no event for a port that is bound, so both ends are polled.
 */
import { Interface, type InterfaceId, type Log } from "@demiflow/core"
import type { PortForwarding } from "@demiflow/flow"
import type { BoundPorts } from "@demiflow/sys"

/** Between two looks, milliseconds. */
const INTERVAL = 1000
/** So many times as long as the last look took no other one begins: packets wait meanwhile. */
const SPARING = 50
/** But the next look begins after so long: a look also takes long if the process was stopped meanwhile. */
const LONGEST_INTERVAL = 30_000
/** Between two warnings that ports stay closed, milliseconds. */
const WARNING_INTERVAL = 60_000

/** Keeps the ports of a table's rules open as they follow others. */
export class AutoPorts {
  readonly #forwarding: Pick<PortForwarding, "follow">
  readonly #host: Pick<BoundPorts, "of" | "connected">
  readonly #namespace: Pick<BoundPorts, "of" | "connected">
  readonly #log: Pick<Log, "warning">
  #warnedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /**
   * @param host what is bound on the host
   * @param namespace what is bound inside the guest's namespace
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

  /** Looks for the first time, and goes on doing so. */
  start(): void {
    this.#lookAndGoOn()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #lookAndGoOn(): void {
    const began = process.hrtime.bigint()
    this.#look()
    const took = Number(process.hrtime.bigint() - began) / 1e6
    const pause = Math.min(Math.max(INTERVAL, took * SPARING), LONGEST_INTERVAL)
    this.#timer = setTimeout(() => this.#lookAndGoOn(), pause)
  }

  #look(): void {
    this.#follow(Interface.host, this.#namespace)
    this.#follow(Interface.splice, this.#host)
  }

  /** Has an end follow what is bound at the other one. */
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
      "More ports are bound than there are descriptors for: some that would follow stay closed. Raise the limit (ulimit -n)",
    )
  }
}
