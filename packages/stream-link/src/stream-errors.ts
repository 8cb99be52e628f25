import { errnoSentence } from "@demiflow/sys"
import { LONGEST_STREAM_FRAME } from "./framing.ts"

/** The reasons why a socket for hypervisors can't be used. */
export type StreamErrorCode =
  | "ERR_STREAM_PATH_IN_USE"
  | "ERR_STREAM_PATH"
  | "ERR_STREAM_NO_FREE_PATH"
  | "ERR_STREAM_DESCRIPTOR"

/**
 * Thrown for a socket that can't be used. The message gives the reason in a sentence, and what to do where that helps.
 */
export class StreamError extends Error {
  readonly code: StreamErrorCode

  constructor(code: StreamErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "StreamError"
    this.code = code
  }
}

/** Why a stream ended. */
export type StreamEnd =
  /** The other end closed it. */
  | { readonly kind: "closed" }
  /** The kernel reported this error number (positive). */
  | { readonly kind: "failed"; readonly errno: number }
  /** A frame's length is impossible. */
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
