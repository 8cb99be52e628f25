/** Shared by this package's tests: one arena for each file, an event loop, and ends of connections. */
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
  type SocketEvents,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { staticPorts } from "@demiflow/testkit"
import { attachArena } from "./attach.ts"
import { AddressFamily, OpenFlag, SocketType } from "./constants.ts"
import { checkResult } from "./errno.ts"
import { EventLoop, type ReceiverRef } from "./event-loop.ts"
import { type HelpedNamespace, NamespaceSockets, startNamespaceHelper } from "./namespace/index.ts"
import type { Native } from "./native.ts"
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"

/** The arena of this test file: a thread has only one. */
export const arena: Arena = new Arena(32 << 20)
export const native: Native = attachArena(arena)

const addressOffset = arena.reserve(SOCKET_ADDRESS_BYTES)

/** The loopback address of an IP version. */
export function loopback(isV4: boolean): Address {
  return (isV4 ? LOOPBACK_V4 : LOOPBACK_V6) as Address
}

/** A demiflow towards a port on loopback. */
export function towards(isV4: boolean, port: number): Demiflow {
  const demiflow = new Demiflow(Interface.host)
  demiflow.correspondentAddress.copyFrom(loopback(isV4))
  demiflow.forwardingAddress.copyFrom(loopback(isV4))
  demiflow.correspondentPort = port
  return demiflow
}

/** A socket on loopback, bound to a port that the kernel chose; listening, if it is a stream. */
export function bound(isV4: boolean, type: 1 | 2): { descriptor: number; port: number } {
  const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
  const descriptor = checkResult(native.socket(family, type, 0), "make a socket")
  const length = writeSocketAddress(arena.view, addressOffset, loopback(isV4), 0)
  checkResult(native.bind(descriptor, addressOffset, length), "bind it")
  if (type === SocketType.stream) checkResult(native.listen(descriptor, 16), "listen")
  checkResult(native.getSocketName(descriptor, addressOffset, SOCKET_ADDRESS_BYTES), "get its name")
  return { descriptor, port: readSocketAddress(arena.view, addressOffset, loopback(isV4).clone()) }
}

const ports = staticPorts()

/** A port that nothing uses, for either protocol and version of IP. */
export function unusedPort(): number {
  for (;;) {
    const port = ports.next().value
    if (isUnused(port, SocketType.stream) && isUnused(port, SocketType.datagram)) return port
  }
}

/** A socket for both versions of IP can be bound to the port. */
function isUnused(port: number, type: 1 | 2): boolean {
  const descriptor = checkResult(native.socket(AddressFamily.ipv6, type, 0), "make a socket")
  const result = native.bind(
    descriptor,
    addressOffset,
    writeSocketAddress(arena.view, addressOffset, UNSPECIFIED_V6, port),
  )
  native.close(descriptor)
  return result === 0
}

/** Delivers the events of all sockets to one receiver. */
class RecordedLoop extends EventLoop {
  readonly #receiver: ReceiverRef

  constructor(native: Native, arena: Arena, events: SocketEvents) {
    super(native, arena)
    this.#receiver = this.addReceiver(events)
  }

  override watchFlow(descriptor: number, events: number, side: SideRef): number {
    return super.watchFlow(descriptor, events, side, this.#receiver)
  }
}

/** An event loop, and a record of the bits reported for each side. */
export class Events implements SocketEvents {
  readonly loop: EventLoop
  readonly seen: Map<SideRef, number> = new Map()
  readonly seenByListeners: Map<ListenerRef, number> = new Map()

  constructor() {
    this.loop = new RecordedLoop(native, arena, this)
  }

  fromHost(side: SideRef, events: number): void {
    this.seen.set(side, (this.seen.get(side) ?? 0) | events)
  }

  fromListener(listener: ListenerRef, events: number): void {
    this.seenByListeners.set(listener, (this.seenByListeners.get(listener) ?? 0) | events)
  }

  /** Waits until all of `bits` have been reported for the side since the last call. Gives up after two seconds. */
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

/**
 * Appended to titles of tests that need root. Without root, these are skipped on a developer's machine, but not in CI.
 */
export const missing: string = process.getuid?.() === 0 || process.env.CI ? "" : " (skipped: needs root)"

/** A network namespace with loopback up in which everybody may ping. */
export interface PingNamespace {
  readonly descriptor: number
  readonly network: HelpedNamespace
  readonly sockets: NamespaceSockets
  close(): void
}

/**
 * Creates a namespace, which needs root (and `unshare` of util-linux): the host's own namespace usually forbids ping
 * sockets, and tests must not change it.
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
