import type { FailureReport } from "@demiflow/program/launch"

/** Reports from the data path to the launcher, each one line of JSON. */
export type DataPathReport =
  | FailureReport
  /** A message for the user. */
  | { readonly kind: "message"; readonly message: string }
  /** Everything is set up. With a command, the process id of its init; the command may start. */
  | { readonly kind: "ready"; readonly init: number | undefined }
  /** The end, with this status: that of the command, if there is one. */
  | { readonly kind: "ended"; readonly status: number }
