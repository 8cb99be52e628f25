import type { DropReason, ProtocolHandler } from "@demiflow/core"

/** A handler, and what the stack knows of it. */
export interface Registered {
  readonly handler: ProtocolHandler
  /** The handler number. */
  readonly number: number
  readonly failed: DropReason
}
