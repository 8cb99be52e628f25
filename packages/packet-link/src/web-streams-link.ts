/**
 * The link over a pair of Web Streams of frames, one `Uint8Array` a frame, as the interfaces of tcpip.js are.
 *
 * Both directions wait for each other. The link reads the next frame once the queue has room for one, so the stream and
 * what is behind it stay paused meanwhile. It writes while the stream wants more (`desiredSize`), and goes on when the
 * stream is ready.
 */
import type { Arena } from "@demiflow/core"
import { bytesOf } from "./event-data.ts"
import { later } from "./later.ts"
import { PacketLink, type PacketLinkOptions } from "./packet-link.ts"

/** What a link needs of a `ReadableStream`. */
export interface FrameReadable {
  getReader(): FrameReader
}

/** What a link needs of a `ReadableStreamDefaultReader`. */
export interface FrameReader {
  read(): Promise<{ readonly done: boolean; readonly value?: unknown }>
  cancel(): Promise<unknown>
}

/** What a link needs of a `WritableStream`. */
export interface FrameWritable {
  getWriter(): FrameWriter
}

/** What a link needs of a `WritableStreamDefaultWriter`. */
export interface FrameWriter {
  readonly closed: Promise<unknown>
  readonly desiredSize: number | null
  readonly ready: Promise<unknown>
  write(frame: Uint8Array): Promise<unknown>
  close(): Promise<unknown>
}

/** Two streams of frames. */
export interface FrameStreams {
  /** Frames from the guest. */
  readonly readable: FrameReadable
  /** Frames to the guest. */
  readonly writable: FrameWritable
}

/**
 * Makes a link over two streams, which it locks, and cancels and closes at the end. Throws what {@link PacketLink}
 * throws, and `TypeError` if a stream is locked.
 */
export function webStreamsLink(arena: Arena, streams: FrameStreams, options: PacketLinkOptions = {}): PacketLink {
  const writer = streams.writable.getWriter()
  const reader = streams.readable.getReader()
  let isReading = false
  const link = new PacketLink(
    arena,
    {
      onFrame(frame) {
        // The stream keeps what it is given, and may hand its memory on.
        writer.write(frame.slice()).catch(fail)
      },
      hasRoom: () => (writer.desiredSize ?? 0) > 0,
      // The loop of sys waits for no promise, by which a stream passes frames on.
      flush: () => later(ignore),
      awaitRoom() {
        writer.ready.then(() => link.resume(), fail)
      },
      onRoom: () => read(),
      onClose() {
        reader.cancel().catch(ignore)
        writer.close().catch(ignore)
      },
    },
    options,
  )
  const fail = (error: unknown): void => link.finish({ kind: "failed", error })
  const read = (): void => {
    if (isReading || !link.isOpen || !link.hasRoom) return
    isReading = true
    reader.read().then(take, fail)
  }
  const take = ({ done, value }: { readonly done: boolean; readonly value?: unknown }): void => {
    isReading = false
    const bytes = bytesOf(value)
    if (done) link.finish({ kind: "closed" })
    else if (bytes === undefined) link.countNoFrame()
    else link.push(bytes)
    read()
  }
  writer.closed.then(() => link.finish({ kind: "closed" }), fail)
  read()
  return link
}

function ignore(): void {}
