import type { FailureReport } from "@demiflow/program/launch"

/** Reports from the data path to the launcher, each one line of JSON. */
export type DataPathReport =
  | FailureReport
  /** A message for the user. */
  | { readonly kind: "message"; readonly message: string }
  /** Everything is open; hypervisors may connect. */
  | { readonly kind: "ready"; readonly socketPath: string | undefined }
