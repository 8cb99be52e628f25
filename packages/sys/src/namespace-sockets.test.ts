import { spawnSync } from "node:child_process"
import { fstatSync, readdirSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Errno } from "@demiflow/core"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { AddressFamily, FileCommand, OpenFlag, SocketProtocol, SocketType } from "./constants.ts"
import { checkResult, SystemError } from "./errno.ts"
import { NamespaceSockets } from "./namespace-sockets.ts"
import type { Native } from "./native.ts"
import { arena, missing, native, openPingNamespace, type PingNamespace } from "./test-support.ts"

const EBADF = 9

const openDescriptors = () => readdirSync("/proc/self/fd").length
const threads = () => readdirSync("/proc/self/task")

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
  /** How many sockets each visit was to bring. */
  let visits: number[]
  /** How many more can be open at once, and what the kernel says beyond that. */
  let room: number
  let shortage: number

  const limited: Native = {
    ...native,
    residentSockets(resident, domain, type, protocol, offset, count) {
      visits.push(count)
      if (room === 0) return -shortage
      const made = native.residentSockets(resident, domain, type, protocol, offset, Math.min(count, room))
      room -= made
      return made
    },
    close(descriptor) {
      room++
      return native.close(descriptor)
    },
  }

  beforeAll(async () => {
    namespace = await openPingNamespace()
  })
  afterAll(() => namespace.close())

  beforeEach(() => {
    visits = []
    room = 1_000
    shortage = Errno.EMFILE
    sockets = new NamespaceSockets(limited, arena, namespace.descriptor)
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
    expect(visits).toEqual([1, 2, 4, 8, 16, 16, 16, 16, 16, 16])
    visits = []
    closeAll([...opened, openUdp()])
    expect(visits).toEqual([1])
  })

  it("leave nothing open behind", async () => {
    sockets.close()
    const [descriptors, before] = [openDescriptors(), threads()]
    sockets = new NamespaceSockets(limited, arena, namespace.descriptor)
    closeAll([openTcp(), openTcp(), openTcp(), openTcp(), openTcp(), openUdp(), openUdp()])
    expect(openDescriptors()).toBeGreaterThan(descriptors)
    const [resident, ...others] = threads().filter((thread) => !before.includes(thread))
    expect(resident).toBeDefined()
    expect(others).toEqual([])
    sockets.close()
    expect(openDescriptors()).toBe(descriptors)
    expect(openTcp()).toBe(-EBADF)
    // It has ended by now, and may be listed for a moment more.
    await vi.waitFor(() => expect(threads()).not.toContain(resident))
  })

  it("do not wait when descriptors are short", () => {
    const opened = [openTcp(), openTcp(), openTcp()]
    room = 3
    opened.push(openTcp())
    expect(visits).toEqual([1, 2, 4])
    // What else could have been had is there for others.
    expect(room).toBe(2)
    opened.push(openTcp(), openTcp())
    expect(visits).toEqual([1, 2, 4, 1, 2])
    closeAll(opened)
  })

  for (const each of ["EMFILE", "ENFILE"] as const) {
    it(`are taken from those that wait for another kind at ${each}, which is told when none is left`, () => {
      shortage = Errno[each]
      const opened = [openTcp(), openTcp()]
      expect(visits).toEqual([1, 2])
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

  it("tell why there is none", () => {
    expect(sockets.open(AddressFamily.ipv4, 99, 0)).toBe(-Errno.EINVAL)
    expect(openTcp()).toBeGreaterThanOrEqual(0)
  })

  it("need a namespace", () => {
    const other = checkResult(native.open("/dev/null", 0, 0), "open a file that is no namespace")
    expect(() => new NamespaceSockets(native, arena, other)).toThrow(SystemError)
    native.close(other)
  })

  it("can be had after all privileges are given up", () => {
    const script = `
      const native = require(process.argv[1])
      const arena = new Int32Array(16)
      native.attach(arena.buffer)
      const resident = native.residentOpen(3)
      process.setgroups([])
      process.setgid(65534)
      process.setuid(65534)
      const { readdirSync, readFileSync } = require("node:fs")
      const users = readdirSync("/proc/self/task").map(
        (task) => readFileSync("/proc/self/task/" + task + "/status", "utf8").match(/^Uid:\\t(\\d+)/m)[1],
      )
      const anew = native.socketInNamespace(3, 2, 1, 0)
      const count = native.residentSockets(resident, 2, 1, 0, 0, 16)
      console.log(JSON.stringify({ users: [...new Set(users)], anew, count }))`
    const addon = fileURLToPath(new URL("../build/demiflow.node", import.meta.url))
    const { stdout } = spawnSync(process.execPath, ["-e", script, addon], {
      stdio: ["ignore", "pipe", "inherit", namespace.descriptor],
      encoding: "utf8",
    })
    expect(JSON.parse(stdout)).toEqual({ users: ["65534"], anew: -Errno.EPERM, count: 16 })
  })
})
