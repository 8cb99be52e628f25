/**
 * The link over a `MessagePort` or a `BroadcastChannel`, of a browser or of Node.js: one frame a message, as
 * `Uint8Array`. `ArrayBuffer` and other views are understood as well.
 *
 * Neither interface reports how much waits at the other end. So two links may agree on a window: each reports by a
 * message, a number, how many frames it has taken, and no more than a window of frames is on the way. Without a window
 * nothing limits what waits in the port, unless the traffic limits itself.
 */
import type { Arena } from "@demiflow/core"
import { bytesOf, dataOf } from "./event-data.ts"
import { PacketLink, type PacketLinkOptions } from "./packet-link.ts"

/** What a link needs of a `MessagePort`, a `BroadcastChannel`, a `Worker` of a browser, or its scope. */
export interface FramePort {
  postMessage(message: unknown): void
  addEventListener(type: "message" | "messageerror" | "close", listener: (event: object) => void): void
  start?(): void
  close?(): void
}

/** Options of a {@link messageLink}. */
export interface MessageLinkOptions extends PacketLinkOptions {
  /**
   * Most frames that are on their way to the other end, 1 or more. Both ends must set it, and their queues should hold
   * as many. For two ends only. Absent: no limit.
   */
  readonly window?: number
}

/**
 * Makes a link over a port, which it starts, and closes at the end. Frames pass through the queues of the port without
 * limit unless {@link MessageLinkOptions.window} is set. Throws what {@link PacketLink} throws.
 */
export function messageLink(arena: Arena, port: FramePort, options: MessageLinkOptions = {}): PacketLink {
  const { window = 0 } = options
  if (!(Number.isInteger(window) && window >= 0)) {
    throw new RangeError(`The window is ${window}: it must be 1 or more frames`)
  }
  /** Frames that the other end has not reported as taken. */
  let onTheWay = 0
  /** Frames that were taken here and not reported yet. */
  let unreported = 0
  const report = (): void => {
    if (window === 0 || unreported === 0) return
    const count = unreported
    unreported = 0
    port.postMessage(count)
  }
  const link = new PacketLink(
    arena,
    {
      onFrame(frame) {
        onTheWay++
        // A port would clone all of the memory behind a view.
        port.postMessage(frame.slice())
      },
      hasRoom: () => window === 0 || onTheWay < window,
      onTaken(count) {
        unreported += count
        report()
      },
      onClose: () => port.close?.(),
    },
    options,
  )
  const takeFrame = (message: unknown): void => {
    const bytes = bytesOf(message)
    if (bytes === undefined) link.countNoFrame()
    if (bytes !== undefined && link.push(bytes)) return
    // The other end counts what is dropped here as well.
    unreported++
    if (link.isOpen && !link.isFrameWaiting) report()
  }
  const takeReport = (count: number): void => {
    if (Number.isInteger(count) && count >= 1 && count <= onTheWay) {
      onTheWay -= count
      link.resume()
    } else link.countNoFrame()
  }
  port.addEventListener("message", (event) => {
    const data = dataOf(event)
    if (window > 0 && typeof data === "number") takeReport(data)
    else takeFrame(data)
  })
  port.addEventListener("messageerror", () => takeFrame(undefined))
  port.addEventListener("close", () => link.finish({ kind: "closed" }))
  port.start?.()
  return link
}
