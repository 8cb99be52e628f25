import type { FailureReport } from "@demiflow/program/launch"

/** From the data path to the launcher, each one line of JSON. */
export type DataPathReport =
  | FailureReport
  /** Something to tell the user on the way. */
  | { readonly kind: "message"; readonly message: string }
  /** Everything is set up. With a command, the number of its init; it may start. */
  | { readonly kind: "ready"; readonly init: number | undefined }
  /** The end, with this status: that of the command, if there is one. */
  | { readonly kind: "ended"; readonly status: number }
