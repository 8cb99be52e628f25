/** Statistics since the start, printed at an interval (`--stats`). */
import type { Drops, Log } from "@demiflow/core"
import type { CountingLink } from "./counting-link.ts"

/** The counters. */
export interface Counters {
  readonly link: Pick<CountingLink, "framesFromGuest" | "bytesFromGuest" | "framesToGuest" | "bytesToGuest">
  readonly drops: Pick<Drops, "entries">
  /** The current number of flows. */
  flowCount(): number
}

/** Formats a table of the counters since the start, if anything has happened since the last one. */
export class Statistics {
  readonly #counters: Counters
  #last = ""

  constructor(counters: Counters) {
    this.#counters = counters
    this.#last = this.#key()
  }

  /** The lines of the table; none if nothing has happened. */
  report(): string[] {
    const key = this.#key()
    if (key === this.#last) return []
    this.#last = key
    const { link, drops } = this.#counters
    const rows: [name: string, count: string][] = [
      ["from guest", `${link.framesFromGuest} frames, ${link.bytesFromGuest} bytes`],
      ["to guest", `${link.framesToGuest} frames, ${link.bytesToGuest} bytes`],
      ["flows", `${this.#counters.flowCount()}`],
      ...drops.entries().map(([reason, count]): [string, string] => [`dropped (${reason})`, `${count}`]),
    ]
    const width = Math.max(...rows.map(([name]) => name.length))
    return ["Statistics:", ...rows.map(([name, count]) => `    ${name.padEnd(width)}  ${count}`)]
  }

  /** Changes with every event. */
  #key(): string {
    const { link, drops } = this.#counters
    return JSON.stringify([link.framesFromGuest, link.framesToGuest, this.#counters.flowCount(), drops.entries()])
  }
}

/** Logs the statistics at an interval. Returns the timer, to be cleared in the end. */
export function logStatistics(counters: Counters, seconds: number, log: Log): NodeJS.Timeout {
  const statistics = new Statistics(counters)
  return setInterval(() => {
    for (const line of statistics.report()) log.info(line)
  }, seconds * 1000)
}
