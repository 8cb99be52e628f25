/** What a launcher and its data path tell each other. */
import type { Account } from "@demiflow/config"

/** From the launcher, as JSON, to the end of the pipe; nothing at all: never mind. */
export interface DataPathSettings {
  /** As `encodeConfiguration` wrote it. */
  readonly configuration: string
  /** Whom to change to once everything is open. */
  readonly identity: Account | undefined
  /** Index of the host interface on which link-local IPv6 addresses are reached; undefined: the kernel's choice. */
  readonly linkLocalScope: number | undefined
  /** Descriptor of the way to the helper that empties the file system: see `WallHelper`. */
  readonly helper?: number | undefined
}

/** From the data path, each one line of JSON: the end, with one sentence for the user. Programs have others besides. */
export interface FailureReport {
  readonly kind: "failed"
  readonly message: string
}

/** The report in a line; undefined if there is none in it. */
export function parseReport<Report extends { readonly kind: string }>(line: string): Report | undefined {
  try {
    const report = JSON.parse(line) as Partial<Report> | null
    return typeof report?.kind === "string" ? (report as Report) : undefined
  } catch {
    return undefined
  }
}
