import type { Components, Forwarding, Observer, ProtocolHandler } from "@demiflow/core"

/** The parts of a stack: everything that it offers its protocols, except what is specific to one of them. */
export interface StackParts
  extends Omit<
    Components,
    "handlerNumber" | "wakeAt" | "relieve" | "makeRoom" | "reportGuestError" | "verdicts" | "reports"
  > {
  /**
   * Called when a handler, the policy or an observer has thrown, once the stack is in order again. Absent: an error is
   * logged, at most one a second. If this function throws, the stack's caller gets the exception.
   */
  readonly onFailure?: ((error: unknown, failed: ProtocolHandler | Forwarding | Observer) => void) | undefined
  /**
   * Called when the policy has been asked a question that it answers later, maybe by a promise: see `Loop.requestTurn`.
   */
  readonly requestTurn?: (() => void) | undefined
  /** The first observers; see `Stack.observe` for others. */
  readonly observers?: readonly Observer[] | undefined
}
