import type { Log, MacAddress } from "@demiflow/core"

const STATIONS_NAMED = 8

/**
 * Logs the stations of the guest's link: the first 8 of each connection of the hypervisor, or all of them while
 * debugging. A guest can invent any number, and lines about itself must leave room in a bounded log for warnings.
 */
export class StationLog {
  readonly #log: Pick<Log, "info" | "isDebug">
  #seen = 0

  constructor(log: Pick<Log, "info" | "isDebug">) {
    this.#log = log
  }

  /** Starts again with a new connection of the hypervisor. */
  restart(): void {
    this.#seen = 0
  }

  /** Logs a station that was heard for the first time. */
  seen(mac: MacAddress): void {
    this.#seen++
    if (this.#seen <= STATIONS_NAMED || this.#log.isDebug) this.#log.info(`New guest MAC address observed: ${mac}`)
    else if (this.#seen === STATIONS_NAMED + 1)
      this.#log.info("Further guest MAC addresses are logged with --debug only")
  }
}
