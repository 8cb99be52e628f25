import { readdirSync, readFileSync } from "node:fs"
import { Errno } from "@demiflow/core"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { AddressFamily, OpenFlag, SocketLevel, SocketProtocol, SocketType } from "../constants.ts"
import { CONTROL_HEADER_BYTES, controlSpace, writeControlHeader } from "../control-message.ts"
import { SystemError } from "../errno.ts"
import { MessageTable } from "../message-table.ts"
import { encodeFilter, NamespaceFlag } from "../process/index.ts"
import { SOCKET_ADDRESS_BYTES, writeSocketAddress } from "../socket-address.ts"
import { arena, loopback, missing, native, openPingNamespace, type PingNamespace } from "../test-support.ts"
import { createHelperSocket, HelpedNamespace, startNamespaceHelper } from "./helped-namespace.ts"

const ENOENT = 2

const openDescriptors = () => readdirSync("/proc/self/fd").length
const openTcp = (network: HelpedNamespace) => network.socket(AddressFamily.ipv4, SocketType.stream, SocketProtocol.tcp)

describe.skipIf(missing !== "")(`a helper in a namespace${missing}`, () => {
  let namespace: PingNamespace
  let network: HelpedNamespace
  beforeAll(async () => {
    namespace = await openPingNamespace()
  })
  afterAll(() => namespace.close())
  beforeEach(() => {
    network = startNamespaceHelper(native, arena, namespace.descriptor)
  })
  afterEach(() => network.close())

  it("opens what is inside", () => {
    const file = network.open("/proc/thread-self/net/dev", OpenFlag.readOnly)
    const text = readFileSync(file, "utf8")
    native.close(file)
    expect(text).toMatch(/lo:/)
    expect(text).not.toMatch(/eth0:/)
    expect(network.open("/no/such/file", OpenFlag.readOnly)).toBe(-ENOENT)
  })

  it("leaves nothing open, here or there", () => {
    const before = openDescriptors()
    for (let round = 0; round < 100; round++) native.close(openTcp(network))
    expect(openDescriptors()).toBe(before)
  })

  it("says which file a path leads to", () => {
    expect(network.identify(namespace.descriptor)).toEqual(expect.stringMatching(/^\d+:\d+:\d+:\d+$/))
    expect(network.identify("/etc/passwd")).toBe(network.identify("/etc/passwd"))
    expect(network.identify("/etc/passwd")).not.toBe(network.identify(namespace.descriptor))
    expect(network.identify("/no/such/file")).toBe(-ENOENT)
  })

  it("can't be made to write more than it has room for", () => {
    expect(network.write(0, 0, 16_385)).toBe(-Errno.EMSGSIZE)
    expect(network.ioctl(0, 0, 0, 16_385)).toBe(-Errno.EMSGSIZE)
  })

  it("does nothing but what it is needed for once it is sealed", () => {
    const filter = encodeFilter(
      native,
      ["recvmsg", "sendmsg", "socket", "bind", "close", "exit_group"].map((call) => ({ call })),
      { kind: "error", errno: Errno.EPERM },
    )
    expect(network.seal([10], filter ?? new Uint8Array())).toBe(0)
    const socket = openTcp(network)
    expect(socket).toBeGreaterThanOrEqual(0)
    const address = arena.reserve(SOCKET_ADDRESS_BYTES, 8)
    // A port that requires a privilege.
    expect(network.bind(socket, address, writeSocketAddress(arena.view, address, loopback(true), 1))).toBe(0)
    native.close(socket)
    expect(network.open("/etc/passwd", OpenFlag.readOnly)).toBe(-Errno.EPERM)
    expect(network.identify("/etc/passwd")).toBe(-Errno.EPERM)
    expect(network.enter(namespace.descriptor, NamespaceFlag.network)).toBe(-Errno.EPERM)
    expect(network.seal([21], new Uint8Array())).toBe(-Errno.EPERM)
  })
})

describe("a helper that can't be relied on", () => {
  let network: HelpedNamespace
  let theirs: number
  let losses: number
  const table = new MessageTable(arena, 1)
  const buffer = arena.reserve(64, 8)
  const control = arena.reserve(controlSpace(4), 8)

  beforeEach(() => {
    const ends = createHelperSocket(native, arena)
    theirs = ends.theirs
    losses = 0
    network = new HelpedNamespace(native, arena, ends.ours)
    network.onLost = () => {
      losses++
    }
  })
  afterEach(() => {
    network.close()
    native.close(theirs)
  })

  /** Prepares the answer to the next request. */
  function answer(result: number, length: number, descriptor?: number): void {
    arena.view.setInt32(buffer, result, true)
    table.setData(0, buffer, length)
    table.setControl(0, control, descriptor === undefined ? 0 : controlSpace(4))
    writeControlHeader(arena.view, control, SocketLevel.socket, 1, 4)
    arena.view.setInt32(control + CONTROL_HEADER_BYTES, descriptor ?? -1, true)
    expect(native.sendMessages(theirs, table.offset, 1, 0)).toBe(1)
  }

  it.each([
    ["an answer that is too short", () => answer(1, 3)],
    ["no socket where it says that there is one", () => answer(0, 4)],
    ["its end", () => native.shutdown(theirs, 2)],
  ])("is lost with %s, which is reported once", (_what, act) => {
    act()
    expect([openTcp(network), openTcp(network)]).toEqual([-Errno.EPIPE, -Errno.EPIPE])
    expect(losses).toBe(1)
  })

  it.each([
    ["a socket of another family", AddressFamily.ipv6, SocketType.stream, 6],
    ["a socket of another type", AddressFamily.ipv4, SocketType.datagram, 17],
    ["a socket that isn't of the internet", AddressFamily.unix, SocketType.stream, 0],
    ["a socket that doesn't block", AddressFamily.ipv4, SocketType.stream | OpenFlag.nonBlocking, 6],
  ])("is lost with %s, which is closed", (_what, family, type, protocol) => {
    const pair = native.socket(family, type, protocol)
    if ((type & OpenFlag.nonBlocking) === 0) native.fileControl(pair, 4, 0)
    answer(1, 4, pair)
    native.close(pair)
    const before = openDescriptors()
    expect(openTcp(network)).toBe(-Errno.EPIPE)
    expect(openDescriptors()).toBe(before)
    expect(losses).toBe(1)
  })

  it("throws while everything is being set up", () => {
    network.onLost = undefined
    native.shutdown(theirs, 2)
    expect(() => openTcp(network)).toThrow(SystemError)
  })
})
