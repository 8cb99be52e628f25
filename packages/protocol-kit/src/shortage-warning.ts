import type { Components } from "@demiflow/core"

/** Milliseconds between two warnings. */
const INTERVAL = 60_000

/** Warns that descriptors are short, at most once a minute. */
export class ShortageWarning {
  readonly #components: Pick<Components, "clock" | "log">
  readonly #name: string
  #next = 0

  /** @param name of the protocol, such as `udp` */
  constructor(components: Pick<Components, "clock" | "log">, name: string) {
    this.#components = components
    this.#name = name
  }

  /**
   * Logs the warning, unless the last one is less than a minute old.
   *
   * @param what the shortage causes
   */
  warn(what = "no sockets left for new flows"): void {
    const { clock, log } = this.#components
    if (clock.now < this.#next) return
    this.#next = clock.now + INTERVAL
    log.warning(`${this.#name}: ${what}: raise the limit of open files (ulimit -n)`)
  }
}
