import type { Components } from "./plugin.ts"
import type { Sequence } from "./sequence.ts"

/** What the tap side hands the guest's packets to: a stack. */
export interface PacketReceiver {
  /** What a report about a packet that is refused needs. */
  readonly parts: Pick<Components, "arena" | "guest" | "forwarding" | "clock">
  /** Handlers in the order of registration; the index is the handler number. */
  readonly handlers: readonly { readonly name: string }[]
  /** Number of the handler that is being called, or was called last; -1 before the first call. */
  readonly running: number
  /** True if the first four bytes of this IP protocol's header are ports, according to one of its handlers. */
  hasPorts(protocol: number): boolean
  /** Hands packets from the guest to the handlers with a claim on them. */
  fromGuest(sequence: Sequence): void
}
