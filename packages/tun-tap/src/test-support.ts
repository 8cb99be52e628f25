/** Shared by this package's tests: one arena for each file, and a network namespace to create devices in. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { Address, Arena } from "@demiflow/core"
import {
  AddressFamily,
  addAddress,
  attachArena,
  changeLink,
  checkResult,
  type Native,
  NetlinkSocket,
  OpenFlag,
  readNetwork,
  readSocketAddress,
  SOCKET_ADDRESS_BYTES,
  SocketFlag,
  SocketType,
  VisitedNamespace,
  writeSocketAddress,
} from "@demiflow/sys"
import type { TunTapDevice } from "./device.ts"
import { TunTapDevice as Device } from "./device.ts"

/** The arena of this test file: a thread has only one. */
export const arena: Arena = new Arena(48 << 20)
export const native: Native = attachArena(arena)

/** Room for whatever a test assembles. */
export const scratch: number = arena.reserve(1 << 20, 4096)

const addressOffset = arena.reserve(SOCKET_ADDRESS_BYTES)

/** Why tests that need a device are skipped on this machine; never skipped in CI. */
export const missing: string = process.getuid?.() === 0 || process.env.CI ? "" : " (skipped: needs root)"

/** A device whose kernel end is a socket: frames keep their boundaries, and no privilege is needed. */
export function pretendDevice(virtioHeaderBytes: number, offloads = 0): { device: TunTapDevice; kernelEnd: number } {
  checkResult(native.socketPair(AddressFamily.unix, SocketType.sequentialPacket, 0, scratch), "make a socket pair")
  const [descriptor, kernelEnd] = arena.words.subarray(scratch >> 2, (scratch >> 2) + 2)
  const device = new Device({ native, arena, name: "pretend", descriptor, isTap: true, virtioHeaderBytes, offloads })
  return { device, kernelEnd }
}

/** A new network namespace. */
export class Namespace {
  readonly descriptor: number
  readonly network: VisitedNamespace
  readonly #child: ReturnType<typeof spawn>
  readonly #netlink: NetlinkSocket

  private constructor(descriptor: number, child: ReturnType<typeof spawn>) {
    this.descriptor = descriptor
    this.network = new VisitedNamespace(native, arena, descriptor)
    this.#child = child
    this.#netlink = new NetlinkSocket(native, arena, this.network)
  }

  /** Creates a namespace. Needs root, and `unshare` of util-linux. */
  static async open(): Promise<Namespace> {
    const child = spawn("unshare", ["--net", "sh", "-c", "echo ready && exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    })
    await once(child.stdout, "data")
    const path = `/proc/${child.pid}/ns/net`
    return new Namespace(checkResult(native.open(path, OpenFlag.readOnly, 0), `open ${path}`), child)
  }

  /** Assigns the interface an address and brings it up. */
  configure(name: string, address: string, prefixLength: number, mtu = 1500): void {
    const { index } = this.interface(name)
    changeLink(this.#netlink, index, { isUp: true, mtu })
    addAddress(this.#netlink, {
      interfaceIndex: index,
      address: Address.parse(address),
      prefixLength,
      scope: 0,
      flags: 0x02, // IFA_F_NODAD: usable at once
    })
  }

  setUp(name: string, isUp: boolean): void {
    changeLink(this.#netlink, this.interface(name).index, { isUp })
  }

  /** RTM_DELLINK of rtnetlink(7), with a `struct ifinfomsg`. */
  remove(name: string): void {
    const { index } = this.interface(name)
    this.#netlink.request(`delete ${name}`, 17, 0, (writer) => {
      writer.uint8(0, 0).uint16(0).uint32(index).uint32(0).uint32(0)
    })
  }

  interface(name: string): ReturnType<typeof readNetwork>["interfaces"][number] {
    const found = readNetwork(this.#netlink).interfaces.find((each) => each.name === name)
    if (found === undefined) throw new Error(`There is no interface ${name}`)
    return found
  }

  has(name: string): boolean {
    return readNetwork(this.#netlink).interfaces.some((each) => each.name === name)
  }

  /** A UDP socket inside, bound to the address. */
  udpSocket(address: string, port: number): number {
    const type = SocketType.datagram | SocketFlag.nonBlocking
    const socket = native.socketInNamespace(this.descriptor, AddressFamily.ipv4, type, 0)
    checkResult(socket, "make a socket")
    const length = writeSocketAddress(arena.view, addressOffset, Address.parse(address), port)
    checkResult(native.bind(socket, addressOffset, length), "bind it")
    return socket
  }

  connect(socket: number, address: string, port: number): void {
    const length = writeSocketAddress(arena.view, addressOffset, Address.parse(address), port)
    checkResult(native.connect(socket, addressOffset, length), "connect")
  }

  portOf(socket: number): number {
    native.getSocketName(socket, addressOffset, SOCKET_ADDRESS_BYTES)
    return readSocketAddress(arena.view, addressOffset, new Address())
  }

  close(): void {
    native.close(this.descriptor)
    this.#child.stdin?.end()
  }
}

/**
 * Assembles IPv4 and UDP headers with payload at `offset`. Returns the length. For the UDP checksum, see `checksum`.
 */
export function putUdpPacket(
  offset: number,
  from: string,
  to: string,
  port: number,
  payloadLength: number,
  checksum: "complete" | "partial" | "wrong",
): number {
  const { view } = arena
  const length = 28 + payloadLength
  arena.bytes.fill(0, offset, offset + 28)
  for (let index = 0; index < payloadLength; index++) arena.bytes[offset + 28 + index] = index & 255
  view.setUint16(offset, 0x4500)
  view.setUint16(offset + 2, length)
  view.setUint8(offset + 8, 64)
  view.setUint8(offset + 9, 17)
  Address.parse(from).writeV4(view, offset + 12)
  Address.parse(to).writeV4(view, offset + 16)
  view.setUint16(offset + 10, ~arena.sum(offset, 20, 0))
  view.setUint16(offset + 20, 5555)
  view.setUint16(offset + 22, port)
  view.setUint16(offset + 24, 8 + payloadLength)
  const pseudoHeader = arena.sum(offset + 12, 8, 17 + 8 + payloadLength)
  if (checksum === "partial") view.setUint16(offset + 26, pseudoHeader)
  else
    view.setUint16(
      offset + 26,
      ~arena.sum(offset + 20, 8 + payloadLength, pseudoHeader) ^ (checksum === "wrong" ? 1 : 0),
    )
  return length
}
