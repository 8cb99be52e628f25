import { errnoSentence, RingFault } from "@demiflow/sys"

/** Why a front end is gone. */
export type VhostUserEnd =
  /** It closed the connection. */
  | { readonly kind: "closed" }
  /** The kernel reported this error number (positive) for the connection. */
  | { readonly kind: "failed"; readonly errno: number }
  /** It doesn't take replies. */
  | { readonly kind: "deaf" }
  /** It sent what the protocol doesn't allow. */
  | { readonly kind: "violation"; readonly reason: string }
  /** It asked for something that can't be done, and for no reply. */
  | { readonly kind: "refused"; readonly reason: string }
  /** One of its rings can't be used any longer: a `RingFault` of `@demiflow/sys`. */
  | { readonly kind: "ring"; readonly ring: number; readonly fault: number }

const FAULTS: Readonly<Record<number, string>> = {
  [RingFault.indexJump]: "its index is further ahead than the ring has entries",
  [RingFault.head]: "it names a descriptor outside of its table",
  [RingFault.loop]: "a chain of descriptors is longer than the ring",
  [RingFault.address]: "a buffer is outside of guest memory",
  [RingFault.direction]: "a buffer has the wrong direction",
  [RingFault.indirect]: "a table of indirect descriptors is impossible",
  [RingFault.memory]: "the memory behind it was taken away",
}

/** The end in words, for one line of a log. */
export function describeVhostUserEnd(end: VhostUserEnd): string {
  switch (end.kind) {
    case "closed":
      return "the front end closed the connection"
    case "failed":
      return `the connection failed: ${errnoSentence(end.errno)}`
    case "deaf":
      return "the front end takes no replies"
    case "violation":
      return `the front end broke the vhost-user protocol: ${end.reason}`
    case "refused":
      return `the front end asked for what can't be done: ${end.reason}`
    case "ring":
      return `ring ${end.ring} of the guest can't be used: ${FAULTS[end.fault] ?? `fault ${end.fault}`}`
  }
}

/** Thrown while a message is handled, by whatever finds that the protocol doesn't allow it. */
export class Violation extends Error {}

/** Thrown while a message is handled, for a request that is allowed and can't be fulfilled. */
export class Refusal extends Error {}
