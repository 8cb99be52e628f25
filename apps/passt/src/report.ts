import type { FailureReport } from "@demiflow/program/launch"

/** From the data path to the launcher, each one line of JSON. */
export type DataPathReport =
  | FailureReport
  /** Something to tell the user on the way. */
  | { readonly kind: "message"; readonly message: string }
  /** Everything is open; the hypervisor may connect. */
  | { readonly kind: "ready"; readonly socketPath: string | undefined }
