/**
 * Sockets of `node:dgram`, and what is known of them at once.
 *
 * Addresses are never names, so the sockets have a `lookup` that answers at once. Node.js then binds and connects at
 * once too: an error of `bind` is reported before `bind` returns, an error of `connect` only later.
 */
import { createSocket, type Socket as NodeSocket } from "node:dgram"
import { type Address, Errno, LOOPBACK_V4 } from "@demiflow/core"
import { errnoOf } from "@demiflow/sockets-kit"
import { textOf } from "./zones.ts"

const DISCARD_PORT = 9
const LIMITED_BROADCAST = "255.255.255.255"

/** @param isDual has an IPv6 socket take IPv4 too, by mapped addresses */
export function createDatagrams(isV4: boolean, isDual = false): NodeSocket {
  return createSocket({
    type: isV4 ? "udp4" : "udp6",
    ipv6Only: !isV4 && !isDual,
    lookup: (host, _options, done) => done(null, host, isV4 ? 4 : 6),
  })
}

/** Asks the system whether a socket can have the address: 0, or a negated error number. */
export function bindError(address: Readonly<Address>, zone: string | undefined): number {
  const socket = createDatagrams(address.isV4)
  let errno = 0
  socket.on("error", (cause) => {
    errno = errnoOf(cause, Errno.EIO)
  })
  socket.bind({ port: 0, exclusive: true, address: textOf(address, zone) })
  socket.close()
  return -errno
}

/**
 * The negated error number of a connect that has just failed; 0 if it hasn't, or if the runtime connects later. The
 * runtime reports the reason when it is too late, so this is the likely one.
 */
export function connectError(socket: NodeSocket, own: Readonly<Address> | undefined, to: Readonly<Address>): number {
  if (isConnected(socket) || !connectsAtOnce()) return 0
  if (to.isV4 && to.toString() === LIMITED_BROADCAST) return -Errno.EACCES
  return own?.isLoopback === true && !to.isLoopback ? -Errno.EINVAL : -Errno.ENETUNREACH
}

function isConnected(socket: NodeSocket): boolean {
  try {
    socket.remoteAddress()
    return true
  } catch {
    return false
  }
}

let connectsAtOnceHere: boolean | undefined

/**
 * True if a connect to an address that can always be reached has succeeded when it returns. False also if there is no
 * descriptor to find it out, and then the next call tries again.
 */
function connectsAtOnce(): boolean {
  if (connectsAtOnceHere === undefined) {
    let isBound = true
    const socket = createDatagrams(true).on("error", () => {
      isBound = false
    })
    socket.bind({ port: 0, exclusive: true, address: LOOPBACK_V4.toString() })
    if (isBound) {
      socket.connect(DISCARD_PORT, LOOPBACK_V4.toString())
      connectsAtOnceHere = isConnected(socket)
    }
    socket.close()
  }
  return connectsAtOnceHere ?? false
}
