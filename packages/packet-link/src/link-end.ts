/** Why a link ended. */
export type PacketLinkEnd =
  /** The other end closed it. */
  | { readonly kind: "closed" }
  /** The other end closed it in the middle of a frame. */
  | { readonly kind: "truncated" }
  /** Reading from the other end, or sending to it, failed. */
  | { readonly kind: "failed"; readonly error: unknown }
  /** The length before a frame is impossible. */
  | { readonly kind: "bad length"; readonly length: number }

/** The end in words, for one line of a log. */
export function describePacketLinkEnd(end: PacketLinkEnd): string {
  switch (end.kind) {
    case "closed":
      return "the other end closed the connection"
    case "truncated":
      return "the other end closed the connection in the middle of a frame"
    case "failed":
      return `the connection failed: ${end.error instanceof Error ? end.error.message : String(end.error)}`
    case "bad length":
      return `the other end announced a frame of ${end.length} bytes, which is impossible`
  }
}
