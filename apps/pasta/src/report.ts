import type { FailureReport } from "@demiflow/program/launch"

/** From the data path to the launcher, each one line of JSON. */
export type DataPathReport =
  | FailureReport
  /** Everything is set up; the command may start. */
  | { readonly kind: "ready"; readonly init: number }
  /** The command has ended, with this status. */
  | { readonly kind: "ended"; readonly status: number }
