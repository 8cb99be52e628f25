import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { Errno } from "@demiflow/core"
import { checkResult, type Native, SocketType, UnixSocketPathError, unixSocketAddress } from "@demiflow/sys"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { StreamError } from "./stream-errors.ts"
import {
  DEFAULT_STREAM_PATHS,
  listenAt,
  listenAtFirstFree,
  STREAM_LISTENER_ARENA_BYTES,
  StreamListener,
} from "./stream-listener.ts"
import { arena, connectTo, isClosed, native, temporaryFolder } from "./test-support.ts"

const scratch = arena.reserve(128)
let folder: ReturnType<typeof temporaryFolder>
let path: string
const opened: { close(): void }[] = []

beforeEach(() => {
  folder = temporaryFolder()
  path = join(folder.path, "socket")
})
afterEach(() => {
  for (const each of opened.splice(0)) each.close()
  folder.remove()
})

function open(at: string): StreamListener {
  const listener = listenAt(native, arena, at)
  opened.push(listener)
  return listener
}

function bindSocket(at: string, type: number): number {
  const descriptor = checkResult(native.socket(1, type, 0), "make a socket")
  const address = unixSocketAddress(at)
  arena.bytes.set(address, scratch)
  checkResult(native.bind(descriptor, scratch, address.length), "bind")
  return descriptor
}

/** Leaves a socket's file whose owner has gone without removing it. */
function leaveSocket(at: string): void {
  native.close(bindSocket(at, SocketType.stream))
}

/** The error that `work` throws. */
function errorOf(work: () => unknown): StreamError {
  try {
    work()
  } catch (error) {
    return error as StreamError
  }
  throw new Error("It should have thrown")
}

describe("listening at a path", () => {
  it("accepts who connects, and answers EAGAIN while nobody does", () => {
    const listener = open(path)
    expect(listener.path).toBe(path)
    expect(listener.accept()).toBe(-Errno.EAGAIN)
    const client = connectTo(path)
    const accepted = listener.accept()
    expect(accepted).toBeGreaterThan(0)
    expect(listener.accept()).toBe(-Errno.EAGAIN)
    native.close(accepted)
    native.close(client)
  })

  it.each([
    [0o077, 0o700],
    [0o022, 0o750],
    [0o000, 0o770],
  ])("with umask %o has mode %o: the umask decides, but that others never connect", (umask, mode) => {
    const before = process.umask(umask)
    try {
      open(path)
    } finally {
      process.umask(before)
    }
    expect(lstatSync(path).mode & 0o777).toBe(mode)
  })

  it("removes the file at the end, once", () => {
    const listener = open(path)
    expect(existsSync(path)).toBe(true)
    listener.close()
    expect(existsSync(path)).toBe(false)
    writeFileSync(path, "of somebody else")
    listener.close()
    expect(existsSync(path)).toBe(true)
  })

  it("leaves a file alone that isn't its own any longer", () => {
    const listener = open(path)
    renameSync(path, `${path}.moved`)
    leaveSocket(path)
    listener.close()
    expect(lstatSync(path).isSocket()).toBe(true)
  })

  it("replaces a socket that was left over", () => {
    leaveSocket(path)
    const listener = open(path)
    const client = connectTo(path)
    const accepted = listener.accept()
    expect(accepted).toBeGreaterThan(0)
    native.close(accepted)
    native.close(client)
  })

  it("refuses a path at which somebody accepts, and leaves that one alone", () => {
    const first = open(path)
    const error = errorOf(() => open(path))
    expect([error.code, error.message]).toEqual([
      "ERR_STREAM_PATH_IN_USE",
      `Another program uses the socket "${path}": end it, or choose another path`,
    ])
    // The listener would take a stream connection for its hypervisor.
    expect(first.accept()).toBe(-Errno.EAGAIN)
    native.close(connectTo(path))
  })

  it.each([
    ["streams, not listening yet", SocketType.stream],
    ["packets", SocketType.sequentialPacket],
    ["datagrams", SocketType.datagram],
  ])("refuses a path to which a socket of %s is bound", (_what, type) => {
    const other = bindSocket(path, type)
    expect(errorOf(() => open(path)).code).toBe("ERR_STREAM_PATH_IN_USE")
    expect(existsSync(path)).toBe(true)
    native.close(other)
    open(path)
  })

  it("refuses a path at which as many wait already as may", () => {
    open(path)
    const clients: number[] = []
    for (let client = connectTo(path); client >= 0; client = connectTo(path)) clients.push(client)
    expect(clients.length).toBeGreaterThan(1)
    expect(errorOf(() => open(path)).code).toBe("ERR_STREAM_PATH_IN_USE")
    for (const client of clients) native.close(client)
  })

  it("never removes what isn't a socket", () => {
    writeFileSync(path, "precious")
    const error = errorOf(() => open(path))
    expect([error.code, error.message]).toEqual([
      "ERR_STREAM_PATH",
      `"${path}" exists and isn't a socket: remove it, or choose another path`,
    ])
    expect(readFileSync(path, "utf8")).toBe("precious")
    symlinkSync(path, `${path}.link`)
    expect(errorOf(() => open(`${path}.link`)).code).toBe("ERR_STREAM_PATH")
    mkdirSync(`${path}.folder`)
    expect(errorOf(() => open(`${path}.folder`)).code).toBe("ERR_STREAM_PATH")
  })

  it("says why a path can't be used", () => {
    const missing = errorOf(() => open("/nonexistent/socket"))
    expect([missing.code, missing.message]).toEqual([
      "ERR_STREAM_PATH",
      '"/nonexistent/socket" can\'t be used for a socket: no such file or directory',
    ])
    expect(() => open(`/tmp/${"x".repeat(103)}`)).toThrow(UnixSocketPathError)
  })

  it("keeps no descriptor of attempts", () => {
    const next = lowestFree()
    leaveSocket(path)
    const listener = listenAt(native, arena, path)
    errorOf(() => listenAt(native, arena, path))
    errorOf(() => listenAt(native, arena, "/nonexistent/socket"))
    listener.close()
    expect(isClosed(listener.descriptor)).toBe(true)
    expect(lowestFree()).toBe(next)
  })

  it("keeps neither a descriptor nor a file if it can't listen", () => {
    const next = lowestFree()
    const failing: Native = Object.create(native, { listen: { value: () => -Errno.ENOBUFS } })
    const error = errorOf(() => listenAt(failing, arena, path))
    expect([error.code, lowestFree(), existsSync(path)]).toEqual(["ERR_STREAM_PATH", next, false])
  })

  it("reserves no more of the arena than it says", () => {
    const before = arena.remaining
    open(path)
    expect(before - arena.remaining).toBeLessThanOrEqual(STREAM_LISTENER_ARENA_BYTES)
  })
})

describe.skipIf(process.getuid?.() !== 0)("giving the file away, as root", () => {
  const owner = (at: string) => [lstatSync(at).uid, lstatSync(at).gid]

  it("gives the socket that was made here", () => {
    expect(open(path).giveTo(1234, 4321)).toBe(true)
    expect(owner(path)).toEqual([1234, 4321])
  })

  it("gives nothing else that somebody has put in its place", () => {
    const listener = open(path)
    const precious = join(folder.path, "precious")
    writeFileSync(precious, "")
    renameSync(path, `${path}.moved`)
    expect(listener.giveTo(1234, 1234)).toBe(false)
    symlinkSync(precious, path)
    expect(listener.giveTo(1234, 1234)).toBe(false)
    unlinkSync(path)
    linkSync(precious, path)
    expect(listener.giveTo(1234, 1234)).toBe(false)
    unlinkSync(path)
    leaveSocket(path)
    expect(listener.giveTo(1234, 1234)).toBe(false)
    unlinkSync(path)
    linkSync(`${path}.moved`, path)
    expect(listener.giveTo(1234, 1234)).toBe(false)
    for (const at of [precious, path]) expect(owner(at)).toEqual([0, 0])
  })
})

describe("listening at the first path that is free", () => {
  it("passes over what is in use or can't be used, and replaces what was left over", () => {
    const paths = ["a", "b", "c", "d", "e"].map((name) => join(folder.path, name))
    open(paths[0])
    writeFileSync(paths[1], "")
    leaveSocket(paths[2])
    const third = listenAtFirstFree(native, arena, paths)
    const fourth = listenAtFirstFree(native, arena, paths)
    opened.push(third, fourth)
    expect([third.path, fourth.path]).toEqual([paths[2], paths[3]])
  })

  it("says so when there is none", () => {
    const paths = ["a", "b"].map((name) => join(folder.path, name))
    for (const each of paths) open(each)
    const error = errorOf(() => listenAtFirstFree(native, arena, paths))
    expect([error.code, error.message]).toEqual([
      "ERR_STREAM_NO_FREE_PATH",
      `No path from ${paths[0]} to ${paths[1]} can be used: give one yourself`,
    ])
    expect((error.cause as StreamError).code).toBe("ERR_STREAM_PATH_IN_USE")
  })

  it("knows the path that others connect to", () => {
    expect([DEFAULT_STREAM_PATHS.length, DEFAULT_STREAM_PATHS[0], DEFAULT_STREAM_PATHS[63]]).toEqual([
      64,
      "/tmp/passt_1.socket",
      "/tmp/passt_64.socket",
    ])
  })
})

it("a listener of somebody else's making leaves the file alone", () => {
  const listener = open(path)
  const duplicate = native.fileControl(listener.descriptor, 1030, 0)
  new StreamListener(native, duplicate, path).close()
  expect([isClosed(duplicate), existsSync(path)]).toEqual([true, true])
})

function lowestFree(): number {
  const descriptor = native.createEvent(0)
  native.close(descriptor)
  return descriptor
}
