/**
 * What the tests of this package share: one arena for the file, an event loop, and ends of connections.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  type Address,
  Arena,
  Demiflow,
  Interface,
  type ListenerRef,
  LOOPBACK_V4,
  LOOPBACK_V6,
  type SideRef,
} from "@demiflow/core"
import { attachArena } from "./attach.ts"
import { AddressFamily, OpenFlag, SocketType } from "./constants.ts"
import { checkResult } from "./errno.ts"
import { EventLoop } from "./event-loop.ts"
import { type HelpedNamespace, NamespaceSockets, startNamespaceHelper } from "./namespace/index.ts"
import type { Native } from "./native.ts"
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"

/** The arena of this test file: one thread has one. */
export const arena: Arena = new Arena(32 << 20)
export const native: Native = attachArena(arena)

const addressOffset = arena.reserve(SOCKET_ADDRESS_BYTES)

/** Loopback of the family. */
export function loopback(isV4: boolean): Address {
  return (isV4 ? LOOPBACK_V4 : LOOPBACK_V6) as Address
}

/** A host side towards a port on loopback. */
export function towards(isV4: boolean, port: number): Demiflow {
  const demiflow = new Demiflow(Interface.host)
  demiflow.correspondentAddress.copyFrom(loopback(isV4))
  demiflow.forwardingAddress.copyFrom(loopback(isV4))
  demiflow.correspondentPort = port
  return demiflow
}

/** A bound socket on loopback and its port; listening, if it is a stream. */
export function bound(isV4: boolean, type: 1 | 2): { descriptor: number; port: number } {
  const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
  const descriptor = checkResult(native.socket(family, type, 0), "make a socket")
  const length = writeSocketAddress(arena.view, addressOffset, loopback(isV4), 0)
  checkResult(native.bind(descriptor, addressOffset, length), "bind it")
  if (type === SocketType.stream) checkResult(native.listen(descriptor, 16), "listen")
  checkResult(native.getSocketName(descriptor, addressOffset, SOCKET_ADDRESS_BYTES), "get its name")
  return { descriptor, port: readSocketAddress(arena.view, addressOffset, loopback(isV4).clone()) }
}

/** A port on which nobody listens. */
export function unusedPort(isV4: boolean, type: 1 | 2): number {
  const { descriptor, port } = bound(isV4, type)
  native.close(descriptor)
  return port
}

/** An event loop that keeps which bits were told of each side. */
export class Events {
  readonly loop: EventLoop
  readonly seen: Map<SideRef, number> = new Map()
  readonly seenByListeners: Map<ListenerRef, number> = new Map()

  constructor() {
    this.loop = new EventLoop(native, arena, {
      onSide: (side, events) => this.seen.set(side, (this.seen.get(side) ?? 0) | events),
      onListener: (listener, events) =>
        this.seenByListeners.set(listener, (this.seenByListeners.get(listener) ?? 0) | events),
    })
  }

  /** Waits until all of `bits` were told of the side since the last call. Gives up after two seconds. */
  until(side: SideRef, bits: number): void {
    const deadline = native.monotonicMicroseconds() + 2_000_000
    while (((this.seen.get(side) ?? 0) & bits) !== bits) {
      const left = deadline - native.monotonicMicroseconds()
      if (left <= 0) throw new Error(`No event ${bits} on side ${side}, only ${this.seen.get(side)}`)
      this.loop.round(Math.ceil(left))
    }
    this.seen.delete(side)
  }
}

/** Appended to titles of what needs root. On a user's machine, without root, it is skipped; wherever CI runs, it isn't. */
export const missing: string = process.getuid?.() === 0 || process.env.CI ? "" : " (skipped: needs root)"

/** A network namespace with loopback up in which everybody may ping. */
export interface PingNamespace {
  readonly descriptor: number
  readonly network: HelpedNamespace
  readonly sockets: NamespaceSockets
  close(): void
}

/**
 * Makes one, which needs root (and `unshare` of util-linux): the host's own namespace usually forbids ping sockets to
 * everybody, and isn't the tests' to change.
 *
 * @param more shell commands to run in it
 */
export async function openPingNamespace(more = "true"): Promise<PingNamespace> {
  const allow = "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range"
  const script = `${allow} && ${more} && echo ready && exec cat`
  const child = spawn("unshare", ["--net", "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] })
  const failed = once(child, "exit").then(([status]) => {
    throw new Error(`The namespace could not be set up: its shell ended with status ${status}`)
  })
  await Promise.race([once(child.stdout, "data"), failed])
  failed.catch(() => {})
  const path = `/proc/${child.pid}/ns/net`
  const descriptor = checkResult(native.open(path, OpenFlag.readOnly, 0), `open ${path}`)
  bringLoopbackUp(descriptor)
  const network = startNamespaceHelper(native, arena, descriptor)
  const sockets = new NamespaceSockets(native, arena, network)
  return {
    descriptor,
    network,
    sockets,
    close() {
      sockets.close()
      network.close()
      native.close(descriptor)
      child.stdin.end()
    },
  }
}

/** SIOCGIFFLAGS and SIOCSIFFLAGS of netdevice(7), with IFF_UP. */
function bringLoopbackUp(namespaceDescriptor: number): void {
  const socket = checkResult(native.socketInNamespace(namespaceDescriptor, AddressFamily.ipv4, 2, 0), "make a socket")
  const request = arena.reserve(40)
  arena.bytes.set([0x6c, 0x6f], request)
  checkResult(native.ioctl(socket, 0x8913, request), "read the flags of lo")
  arena.view.setInt16(request + 16, arena.view.getInt16(request + 16, true) | 1, true)
  checkResult(native.ioctl(socket, 0x8914, request), "set the flags of lo")
  native.close(socket)
}
