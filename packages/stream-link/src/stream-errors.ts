import { errnoSentence } from "@demiflow/sys"
import { LONGEST_STREAM_FRAME } from "./framing.ts"

/** What can be wrong with a socket for hypervisors. */
export type StreamErrorCode =
  | "ERR_STREAM_PATH_IN_USE"
  | "ERR_STREAM_PATH"
  | "ERR_STREAM_NO_FREE_PATH"
  | "ERR_STREAM_DESCRIPTOR"

/** The socket can't be used. The message says why, in a sentence, and what to do where that helps. */
export class StreamError extends Error {
  readonly code: StreamErrorCode

  constructor(code: StreamErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "StreamError"
    this.code = code
  }
}

/** Why a stream is over. */
export type StreamEnd =
  /** The other end closed it. */
  | { readonly kind: "closed" }
  /** The kernel says so, with this error number (positive). */
  | { readonly kind: "failed"; readonly errno: number }
  /** The length before a frame is none that a frame can have. */
  | { readonly kind: "bad length"; readonly length: number }

/** The end in words, for one line of a log. */
export function describeStreamEnd(end: StreamEnd): string {
  switch (end.kind) {
    case "closed":
      return "the hypervisor closed the connection"
    case "failed":
      return `the connection failed: ${errnoSentence(end.errno)}`
    case "bad length":
      return `the hypervisor announced a frame of ${end.length} bytes, and 1 to ${LONGEST_STREAM_FRAME} are possible`
  }
}
