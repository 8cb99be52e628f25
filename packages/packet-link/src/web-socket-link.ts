/**
 * The link over a WebSocket: one raw Ethernet frame a binary message, without header, as v86's `relay_url` and
 * RootlessRelay speak it. Both ends of a connection are alike, so this serves a client and a server.
 *
 * A WebSocket has no bound, and no event when it has sent what it holds: `bufferedAmount` has to be polled. So the link
 * gives the socket at most {@link WebSocketLinkOptions.socketBytes}, keeps what is above that in its backlog, and polls
 * while something is there. A browser's WebSocket can't be paused: if the stack is too slow, the queue overflows. One
 * of `ws` is paused before.
 */
import type { Arena } from "@demiflow/core"
import { bytesOf, dataOf } from "./event-data.ts"
import type { PacketLinkEnd } from "./link-end.ts"
import { PacketLink, type PacketLinkOptions } from "./packet-link.ts"

const DEFAULT_SOCKET_BYTES = 1 << 20
/** Milliseconds between polls while frames wait; browsers make 4 of it. */
const POLL_INTERVAL = 2
/** Most that a socket of `ws` has read when it is paused, and still delivers. */
const READ_BYTES = 64 << 10
const OPEN = 1
const CLOSING = 2

declare function setTimeout(callback: () => void, milliseconds: number): unknown

/** What a link needs of a WebSocket: a browser's, Node.js', or one of the npm package `ws`. */
export interface FrameWebSocket {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  send(message: ArrayBuffer): void
  close(): void
  /** Absent for a browser's. */
  pause?(): void
  /** Absent for a browser's. */
  resume?(): void
  addEventListener(type: "open" | "message" | "error" | "close", listener: (event: object) => void): void
}

/** Options of a {@link webSocketLink}. */
export interface WebSocketLinkOptions extends PacketLinkOptions {
  /** Bytes in the socket's own buffer above which frames wait in the backlog, 0 or more; 1 MiB if absent. */
  readonly socketBytes?: number
}

/**
 * Makes a link over a WebSocket, which may still be connecting: until it is open, frames wait. Sets its `binaryType`,
 * and closes it at the end. Throws what {@link PacketLink} throws.
 */
export function webSocketLink(arena: Arena, socket: FrameWebSocket, options: WebSocketLinkOptions = {}): PacketLink {
  const { socketBytes = DEFAULT_SOCKET_BYTES } = options
  const link = new PacketLink(
    arena,
    {
      onFrame: (frame) => socket.send(copyOf(frame)),
      hasRoom: () => socket.readyState === OPEN && socket.bufferedAmount <= socketBytes,
      awaitRoom() {
        // The socket's opening is an event.
        if (socket.readyState === OPEN) setTimeout(() => link.resume(), POLL_INTERVAL)
      },
      bytesOnTheWay: READ_BYTES,
      onRoom: () => socket.resume?.(),
      onClose() {
        // Paused, it would not notice that the other end closes it too.
        socket.resume?.()
        socket.close()
      },
    },
    options,
  )
  // A server's socket of `ws` hands out views of larger memory otherwise, and a browser's blobs.
  socket.binaryType = "arraybuffer"
  socket.addEventListener("open", () => link.resume())
  socket.addEventListener("message", (event) => {
    const bytes = bytesOf(dataOf(event))
    if (bytes === undefined) link.countNoFrame()
    else link.push(bytes)
    if (link.isOpen && !link.hasRoom) socket.pause?.()
  })
  socket.addEventListener("error", (event) => link.finish({ kind: "failed", error: errorOf(event) }))
  socket.addEventListener("close", (event) => link.finish(endOf(event)))
  // Its events are over. The caller gets the link first.
  if (socket.readyState >= CLOSING) Promise.resolve().then(() => link.finish({ kind: "closed" }))
  return link
}

/** The frame in memory of its own: `ws` sends some of it after the call. */
function copyOf(frame: Uint8Array): ArrayBuffer {
  return frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.byteLength) as ArrayBuffer
}

function endOf(event: object): PacketLinkEnd {
  const { wasClean = true, code } = event as { readonly wasClean?: boolean; readonly code?: number }
  if (wasClean) return { kind: "closed" }
  return { kind: "failed", error: new Error(`the WebSocket closed without a handshake, with code ${code}`) }
}

/** Browsers keep the reason to themselves. */
function errorOf(event: object): unknown {
  return (event as { readonly error?: unknown }).error ?? new Error("the WebSocket failed")
}
