/** The messages between a launcher and its data path. */
import type { Account } from "@demiflow/config"

/** From the launcher, as JSON, up to the end of the pipe. If it sends nothing, the data path ends. */
export interface DataPathSettings {
  /** The output of `encodeConfiguration`. */
  readonly configuration: string
  /** The user to change to once everything is open. */
  readonly identity: Account | undefined
  /** Index of the host interface on which link-local IPv6 addresses are reached; undefined: the kernel's choice. */
  readonly linkLocalScope: number | undefined
  /** Descriptor of the connection to the helper that empties the file system: see `WallHelper`. */
  readonly helper?: number | undefined
  /** True if the data path was started in namespaces of its own. */
  readonly hasNamespaces?: boolean
}

/**
 * From the data path, each report one line of JSON: the program ends, with one sentence for the user. Programs add
 * reports of their own.
 */
export interface FailureReport {
  readonly kind: "failed"
  readonly message: string
}

/** Parses the report in a line; undefined if there is none. */
export function parseReport<Report extends { readonly kind: string }>(line: string): Report | undefined {
  try {
    const report = JSON.parse(line) as Partial<Report> | null
    return typeof report?.kind === "string" ? (report as Report) : undefined
  } catch {
    return undefined
  }
}
