/**
 * The link over a Duplex of Node.js: a socket, a pipe, or a stream of one's own. Frames stand behind their length, as
 * with QEMU's `-netdev stream`, or each chunk is one frame.
 *
 * Both directions wait for each other. The stream is paused while the queue has no room. Frames wait in the backlog
 * from the time that `write` returns false until the stream has drained.
 */
import type { Arena } from "@demiflow/core"
import { bytesOf } from "./event-data.ts"
import { LENGTH_BYTES, LengthSplitter } from "./length-splitter.ts"
import { PacketLink, type PacketLinkOptions } from "./packet-link.ts"

/** What a link needs of a Duplex. */
export interface FrameDuplex {
  readonly destroyed: boolean
  readonly writableNeedDrain: boolean
  on(event: string, listener: (value: unknown) => void): unknown
  write(chunk: Uint8Array): boolean
  cork(): void
  uncork(): void
  pause(): unknown
  resume(): unknown
  destroy(): unknown
}

/** Options of a {@link duplexLink}. */
export interface DuplexLinkOptions extends PacketLinkOptions {
  /**
   * `length` if each frame stands behind its length, four bytes with the most significant first. `chunk` if each chunk
   * is one frame: for streams that keep chunks apart, in object mode for example. `length` if absent.
   */
  readonly framing?: "length" | "chunk"
}

/**
 * Makes a link over a Duplex, which it reads, and destroys at the end. Throws what {@link PacketLink} throws.
 */
export function duplexLink(arena: Arena, stream: FrameDuplex, options: DuplexLinkOptions = {}): PacketLink {
  const hasLength = (options.framing ?? "length") === "length"
  let isCorked = false
  let isOver = false
  const link: PacketLink = new PacketLink(
    arena,
    {
      onFrame(frame) {
        // All frames of a turn leave together.
        if (!isCorked) stream.cork()
        isCorked = true
        stream.write(hasLength ? behindLength(frame) : frame.slice())
      },
      hasRoom: () => !stream.destroyed && !stream.writableNeedDrain,
      flush() {
        if (isCorked) stream.uncork()
        isCorked = false
      },
      onRoom() {
        splitter.run()
        afterFrames()
      },
      onClose: () => stream.destroy(),
    },
    options,
  )
  const splitter = new LengthSplitter(link, link.longestFrame)
  const afterFrames = (): void => {
    const { badLength } = splitter
    if (badLength >= 0) link.finish({ kind: "bad length", length: badLength })
    else if (isOver && !splitter.isWaiting) link.finish({ kind: splitter.isInFrame ? "truncated" : "closed" })
    else if (splitter.isWaiting || !link.hasRoom) stream.pause()
    else stream.resume()
  }
  stream.on("data", (chunk) => {
    if (!link.isOpen) return
    const bytes = bytesOf(chunk)
    if (bytes !== undefined && hasLength) splitter.feed(bytes)
    else if (bytes !== undefined) link.push(bytes)
    else if (hasLength) link.finish({ kind: "failed", error: new TypeError("The stream has texts in place of bytes") })
    else link.countNoFrame()
    if (link.isOpen) afterFrames()
  })
  const close = (): void => {
    isOver = true
    // What waits of the last chunk is still handed out.
    if (link.isOpen) afterFrames()
  }
  stream.on("drain", () => link.resume())
  stream.on("error", (error) => link.finish({ kind: "failed", error }))
  stream.on("end", close)
  stream.on("close", close)
  // Its events are over. The caller gets the link first.
  if (stream.destroyed) Promise.resolve().then(close)
  return link
}

/** The stream keeps its chunks, and the arena is reused: this is the only copy. */
function behindLength(frame: Uint8Array): Uint8Array {
  const { length } = frame
  const message = new Uint8Array(LENGTH_BYTES + length)
  message[2] = length >> 8
  message[3] = length
  message[1] = length >> 16
  message.set(frame, LENGTH_BYTES)
  return message
}
