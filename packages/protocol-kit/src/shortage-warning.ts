import type { Components } from "@demiflow/core"

/** Milliseconds between two warnings. */
const INTERVAL = 60_000

/** Warns that no sockets are left for new flows, at most once a minute. */
export class ShortageWarning {
  readonly #components: Pick<Components, "clock" | "log">
  readonly #name: string
  #next = 0

  /** @param name of the protocol, such as `udp` */
  constructor(components: Pick<Components, "clock" | "log">, name: string) {
    this.#components = components
    this.#name = name
  }

  /** Logs the warning, unless the last one is less than a minute old. */
  warn(): void {
    const { clock, log } = this.#components
    if (clock.now < this.#next) return
    this.#next = clock.now + INTERVAL
    log.warning(`${this.#name}: no sockets left for new flows: raise the limit of open files (ulimit -n)`)
  }
}
