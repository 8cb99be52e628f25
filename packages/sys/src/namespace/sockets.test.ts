import { fstatSync, readdirSync, statSync } from "node:fs"
import { Errno } from "@demiflow/core"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { AddressFamily, FileCommand, OpenFlag, SocketProtocol, SocketType } from "../constants.ts"
import { checkResult } from "../errno.ts"
import type { Native } from "../native.ts"
import { arena, missing, native, openPingNamespace, type PingNamespace } from "../test-support.ts"
import type { NetworkNamespace } from "./network-namespace.ts"
import { NamespaceSockets } from "./sockets.ts"

const openDescriptors = () => readdirSync("/proc/self/fd").length

/** Identity of the network namespace that a socket is in: SIOCGSKNS of <linux/sockios.h>. */
function namespaceOf(socket: number): number {
  const descriptor = checkResult(native.ioctl(socket, 0x894c, 0), "ask for the namespace of a socket")
  const { ino } = fstatSync(descriptor)
  native.close(descriptor)
  return ino
}

describe.skipIf(missing !== "")(`sockets inside a namespace${missing}`, () => {
  let namespace: PingNamespace
  let sockets: NamespaceSockets
  /** The number of sockets that each request asked for. */
  let requests: number[]
  /** How many more sockets can be open at once, and the kernel's error beyond that. */
  let room: number
  let shortage: number

  const limited: Native = {
    ...native,
    close(descriptor) {
      room++
      return native.close(descriptor)
    },
  }

  const limitedNamespace = (): NetworkNamespace =>
    Object.assign(Object.create(namespace.network) as NetworkNamespace, {
      sockets(domain: number, type: number, protocol: number, offset: number, count: number) {
        requests.push(count)
        if (room === 0) return -shortage
        const made = namespace.network.sockets(domain, type, protocol, offset, Math.min(count, room))
        room -= made
        return made
      },
    })

  beforeAll(async () => {
    namespace = await openPingNamespace()
  })
  afterAll(() => namespace.close())

  beforeEach(() => {
    requests = []
    room = 1_000
    shortage = Errno.EMFILE
    sockets = new NamespaceSockets(limited, arena, limitedNamespace())
  })
  afterEach(() => sockets.close())

  const openTcp = () => sockets.open(AddressFamily.ipv4, SocketType.stream, SocketProtocol.tcp)
  const openUdp = () => sockets.open(AddressFamily.ipv6, SocketType.datagram, SocketProtocol.udp)
  const closeAll = (descriptors: number[]) => descriptors.map((descriptor) => limited.close(descriptor))

  it("knows the interfaces inside by their names", () => {
    expect(sockets.interfaceIndex("lo")).toBe(1)
    expect(sockets.interfaceIndex("eth0")).toBe(0)
    expect(sockets.interfaceIndex("a name that is too long")).toBe(0)
  })

  it("are inside, non-blocking and closed on exec, and of the kind that is asked for", () => {
    const opened = [openTcp(), openUdp(), openUdp(), openTcp()]
    expect(opened.map(namespaceOf)).toEqual(opened.map(() => fstatSync(namespace.descriptor).ino))
    expect(namespaceOf(opened[0])).not.toBe(statSync("/proc/self/ns/net").ino)
    for (const socket of opened) {
      expect(native.fileControl(socket, FileCommand.getDescriptorFlags, 0)).toBe(1)
      expect(native.fileControl(socket, FileCommand.getStatusFlags, 0) & OpenFlag.nonBlocking).not.toBe(0)
    }
    // SO_PROTOCOL
    expect(opened.map((socket) => native.getOptionInteger(socket, 1, 38))).toEqual([6, 17, 17, 6])
    closeAll(opened)
  })

  it("come several at a time, the more of them the more are needed", () => {
    const opened = Array.from({ length: 100 }, openTcp)
    expect(new Set(opened).size).toBe(100)
    expect(requests).toEqual([1, 2, 4, 8, 16, 16, 16, 16, 16, 16])
    requests = []
    closeAll([...opened, openUdp()])
    expect(requests).toEqual([1])
  })

  it("leave nothing open behind", () => {
    sockets.close()
    const descriptors = openDescriptors()
    sockets = new NamespaceSockets(limited, arena, limitedNamespace())
    closeAll([openTcp(), openTcp(), openTcp(), openTcp(), openTcp(), openUdp(), openUdp()])
    expect(openDescriptors()).toBeGreaterThan(descriptors)
    sockets.close()
    expect(openDescriptors()).toBe(descriptors)
  })

  it("do not wait when descriptors are short", () => {
    const opened = [openTcp(), openTcp(), openTcp()]
    room = 3
    opened.push(openTcp())
    expect(requests).toEqual([1, 2, 4])
    // The other descriptors are left to others.
    expect(room).toBe(2)
    opened.push(openTcp(), openTcp())
    expect(requests).toEqual([1, 2, 4, 1, 2])
    closeAll(opened)
  })

  for (const each of ["EMFILE", "ENFILE"] as const) {
    it(`are taken from those that wait for another kind at ${each}, to which it is reported when none is left`, () => {
      shortage = Errno[each]
      const opened = [openTcp(), openTcp()]
      expect(requests).toEqual([1, 2])
      room = 0
      opened.push(openUdp())
      expect(opened[2]).toBeGreaterThanOrEqual(0)
      expect(openUdp()).toBe(-shortage)
      expect(openTcp()).toBe(-shortage)
      closeAll(opened.splice(0, 1))
      opened.push(openTcp())
      expect(opened[2]).toBeGreaterThanOrEqual(0)
      closeAll(opened)
    })
  }

  it("report why there is none", () => {
    expect(sockets.open(AddressFamily.ipv4, 99, 0)).toBe(-Errno.EINVAL)
    expect(openTcp()).toBeGreaterThanOrEqual(0)
  })
})
