import { connect } from "node:net"
import { Writable } from "node:stream"
import { ReadableStream } from "node:stream/web"
import type { Connect, ConnectedSocket } from "./connected-socket.ts"

/** A `connect()` as runtimes have it, by `node:net`: resets where the writable stream is aborted. */
export const nodeConnect: Connect = ({ hostname, port }): ConnectedSocket => {
  const socket = connect({ host: hostname, port, allowHalfOpen: true, noDelay: true })
  const opened = new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject))
  const closed = new Promise<void>((resolve, reject) => socket.once("close", resolve).once("error", reject))
  const writer = Writable.toWeb(socket).getWriter()
  const readable = new ReadableStream<Uint8Array>({
    start(controller) {
      socket.on("data", (bytes: Buffer) => {
        controller.enqueue(bytes)
        socket.pause()
      })
      socket.on("end", () => controller.close())
      socket.on("error", (error) => controller.error(error))
    },
    pull: () => void socket.resume(),
  })
  const abort = async () => void socket.resetAndDestroy()
  return {
    readable,
    writable: { getWriter: () => ({ write: (bytes) => writer.write(bytes), close: () => writer.close(), abort }) },
    opened,
    closed,
    close: async () => void socket.destroySoon(),
  }
}
