/** What the launcher and the data path tell each other. */
import type { Identity } from "./identity.ts"

/** From the launcher, as JSON, to the end of the pipe; nothing at all: never mind. */
export interface DataPathSettings {
  /** As `encodeConfiguration` wrote it. */
  readonly configuration: string
  /** Whom to change to once everything is open. */
  readonly identity: Identity | undefined
  /** Index of the host interface on which link-local IPv6 addresses are reached; undefined: the kernel's choice. */
  readonly linkLocalScope: number | undefined
}

/** From the data path, each one line of JSON. */
export type DataPathReport =
  /** Everything is set up; the command may start. */
  | { readonly kind: "ready"; readonly init: number }
  /** The end, with one sentence for the user. */
  | { readonly kind: "failed"; readonly message: string }
  /** The command has ended, with this status. */
  | { readonly kind: "ended"; readonly status: number }

/** The report in a line; undefined if there is none in it. */
export function parseReport(line: string): DataPathReport | undefined {
  try {
    const report = JSON.parse(line) as Partial<DataPathReport> | null
    return typeof report?.kind === "string" ? (report as DataPathReport) : undefined
  } catch {
    return undefined
  }
}
