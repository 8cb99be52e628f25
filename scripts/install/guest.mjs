// A guest that asks passt for an Ethernet address.
import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { arpRequest, isArpReply } from "./arp.mjs"

/**
 * Undefined: nobody listens there yet. The file is there before.
 * @param {string} path
 */
async function connected(path) {
  const socket = connect(path)
  try {
    await once(socket, "connect")
    return socket
  } catch {
    return undefined
  }
}

/**
 * Reads frames until one is the answer.
 * @param {import("node:net").Socket} guest
 */
async function hasReply(guest) {
  let read = Buffer.alloc(0)
  for await (const bytes of guest) {
    read = Buffer.concat([read, bytes])
    for (let length = 0; read.length >= 4; read = read.subarray(4 + length)) {
      length = read.readUInt32BE()
      if (read.length < 4 + length) break
      if (isArpReply(read.subarray(4, 4 + length))) return true
    }
  }
  return false
}

/** @typedef {import("node:stream").Readable} Readable */

/**
 * Whether a passt that is starting answers over its socket, and ends in good order then.
 * @param {import("node:child_process").ChildProcessByStdio<null, Readable, Readable>} child
 * @param {string} socket
 */
export async function answersGuest(child, socket) {
  let printed = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (printed += text))
  const ended = once(child, "exit")
  try {
    let guest = await connected(socket)
    while (guest === undefined) {
      if (child.exitCode !== null) throw new Error(printed)
      await Promise.race([delay(200), ended])
      guest = await connected(socket)
    }
    const silent = new Error("passt is silent")
    guest.setTimeout(60_000, () => guest?.destroy(silent))
    // Frames are behind their length, as QEMU's `-netdev stream` has them.
    guest.write(Uint8Array.from([0, 0, 0, arpRequest.length, ...arpRequest]))
    const answered = await hasReply(guest)
    if (!answered) throw new Error(`no answer: ${printed}`)
  } finally {
    child.kill()
  }
  // passt ends in good order.
  const [status] = await ended
  if (status !== 0) throw new Error(`status ${status}: ${printed}`)
}
