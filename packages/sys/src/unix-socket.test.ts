import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Errno } from "@demiflow/core"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { AddressFamily, SocketType } from "./constants.ts"
import { checkResult, SystemError } from "./errno.ts"
import { arena, native } from "./test-support.ts"
import {
  readPeerCredentials,
  UNIX_SOCKET_ADDRESS_BYTES,
  UNIX_SOCKET_PATH_BYTES,
  UnixSocketPathError,
  unixSocketAddress,
} from "./unix-socket.ts"

const scratch = arena.reserve(256, 8)
let folder: string
let opened: number[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "demiflow-unix-"))
  opened = []
})
afterEach(() => {
  for (const descriptor of opened) native.close(descriptor)
  rmSync(folder, { recursive: true })
})

function open(): number {
  const descriptor = checkResult(native.socket(AddressFamily.unix, SocketType.stream, 0), "make a socket")
  opened.push(descriptor)
  return descriptor
}

/** Puts the address into the arena. Returns its length. */
function put(path: string): number {
  const address = unixSocketAddress(path)
  arena.bytes.set(address, scratch)
  return address.length
}

describe("unixSocketAddress", () => {
  it("is family, path and a final zero", () => {
    expect(unixSocketAddress("/a/b")).toEqual(Uint8Array.of(1, 0, 0x2f, 0x61, 0x2f, 0x62, 0))
    expect(unixSocketAddress("é")).toEqual(Uint8Array.of(1, 0, 0xc3, 0xa9, 0))
  })

  it("takes the longest path that the kernel takes, and none longer", () => {
    const longest = join(folder, "x".repeat(UNIX_SOCKET_PATH_BYTES - folder.length - 1))
    expect(longest).toHaveLength(107)
    expect(unixSocketAddress(longest)).toHaveLength(UNIX_SOCKET_ADDRESS_BYTES)
    expect(native.bind(open(), scratch, put(longest))).toBe(0)
    expect(statSync(longest).isSocket()).toBe(true)
    expect(() => unixSocketAddress(`${longest}x`)).toThrow(/has 108 bytes, and no more than 107/)
  })

  it("refuses names that are not in the file system", () => {
    expect(() => unixSocketAddress("")).toThrow(UnixSocketPathError)
    expect(() => unixSocketAddress("\0name")).toThrow(/contains a zero byte/)
  })
})

describe("a UNIX socket", () => {
  it("is bound, listens, accepts, and knows who connected", () => {
    const length = put(join(folder, "socket"))
    const listening = open()
    expect(native.bind(listening, scratch, length)).toBe(0)
    expect(native.listen(listening, 1)).toBe(0)
    expect(native.accept(listening, scratch + 128, 0)).toBe(-Errno.EAGAIN)
    expect(native.connect(open(), scratch, length)).toBe(0)
    const accepted = checkResult(native.accept(listening, scratch + 128, 0), "accept")
    opened.push(accepted)
    expect(readPeerCredentials(native, arena, accepted, scratch)).toEqual({
      process: process.pid,
      user: process.getuid?.(),
      group: process.getgid?.(),
    })
  })

  it("of which nothing is known makes an error", () => {
    expect(() => readPeerCredentials(native, arena, -1, scratch)).toThrow(SystemError)
  })
})
