import { Address, Arena, Demiflow, Errno, Interface, type SideRef, type Socket, Vectors } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { WebLoop } from "../web-loop.ts"
import { ConnectSockets } from "./connect-sockets.ts"

const KIBIBYTE = 1 << 10

/** A correspondent that takes what the test has it take. */
class SlowCorrespondent {
  readonly arena: Arena = new Arena(2 << 20)
  readonly sockets: ConnectSockets
  readonly socket: Socket
  readonly calls: string[] = []
  readonly received: number[] = []
  readonly #vectors = new Vectors(this.arena, 2)
  readonly #region: number = this.arena.reserve(1 << 20, 64)
  #taken: (() => void)[] = []

  constructor() {
    const note = async (call: string) => void this.calls.push(call)
    const writer = {
      write: (bytes: Uint8Array) => {
        this.calls.push(`write ${bytes.length}`)
        for (const byte of bytes) this.received.push(byte)
        return new Promise<void>((resolve) => this.#taken.push(resolve))
      },
      close: () => note("end"),
      abort: () => note("abort"),
    }
    const never = new Promise<never>(() => {})
    const connect = () => ({
      readable: { getReader: () => ({ read: () => never, cancel: async () => {} }) },
      writable: { getWriter: () => writer },
      opened: Promise.resolve(),
      closed: never,
      close: () => note("close"),
    })
    this.sockets = new ConnectSockets(this.arena, new WebLoop(), { connect })
    const towards = Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse("192.0.2.1"), 80)
    this.socket = this.sockets.tcpConnect(1 as SideRef, towards)
  }

  /** Sends bytes in two parts. */
  send(bytes: Uint8Array): number {
    const half = bytes.length >> 1
    this.arena.bytes.set(bytes, this.#region)
    this.#vectors.set(0, this.#region, half)
    this.#vectors.set(1, this.#region + half, bytes.length - half)
    return this.sockets.send(this.socket, this.#vectors, 0, 2)
  }

  /** Takes what was written, as calls so far. */
  async take(): Promise<string[]> {
    for (const taken of this.#taken.splice(0)) taken()
    for (let count = 0; count < 10; count++) await undefined
    return this.calls.splice(0)
  }
}

async function connected(): Promise<SlowCorrespondent> {
  const correspondent = new SlowCorrespondent()
  await correspondent.take()
  expect(correspondent.sockets.connectOutcome(correspondent.socket)).toBe(0)
  return correspondent
}

describe("a correspondent that takes nothing", () => {
  test("has one write at a time, and small pieces together in the next", async () => {
    const correspondent = await connected()
    const sent: number[] = []
    for (let count = 0; count < 1_000; count++) {
      sent.push(count & 0xff)
      expect(correspondent.send(Uint8Array.of(count))).toBe(1)
    }
    expect(correspondent.calls).toEqual(["write 1"])
    expect(correspondent.sockets.unacknowledged(correspondent.socket)).toBe(1_000)
    expect(await correspondent.take()).toEqual(["write 1", "write 999"])
    expect(await correspondent.take()).toEqual([])
    expect(correspondent.received).toEqual(sent)
    expect(correspondent.sockets.unacknowledged(correspondent.socket)).toBe(0)
  })

  test("is owed a bounded number of bytes, which leave in order", async () => {
    const correspondent = await connected()
    const bytes = Uint8Array.from({ length: 300 * KIBIBYTE }, (_, index) => index % 251)
    expect(correspondent.send(bytes.subarray(0, 100 * KIBIBYTE))).toBe(100 * KIBIBYTE)
    expect(correspondent.send(bytes.subarray(100 * KIBIBYTE))).toBe(156 * KIBIBYTE)
    expect(correspondent.send(bytes)).toBe(-Errno.EAGAIN)
    expect(await correspondent.take()).toEqual([`write ${100 * KIBIBYTE}`, `write ${64 * KIBIBYTE}`])
    expect(await correspondent.take()).toEqual([`write ${64 * KIBIBYTE}`])
    expect(await correspondent.take()).toEqual([`write ${28 * KIBIBYTE}`])
    expect(await correspondent.take()).toEqual([])
    expect(Buffer.from(correspondent.received).equals(bytes.subarray(0, 256 * KIBIBYTE))).toBe(true)
  })

  test("gets the end after all that was sent, once", async () => {
    const correspondent = await connected()
    correspondent.send(Uint8Array.of(1, 2))
    correspondent.send(Uint8Array.of(3, 4))
    correspondent.sockets.shutdownWrite(correspondent.socket)
    expect(correspondent.calls).toEqual(["write 2"])
    expect(await correspondent.take()).toEqual(["write 2", "write 2", "end"])
    expect(await correspondent.take()).toEqual([])
    expect(correspondent.sockets.unacknowledged(correspondent.socket)).toBe(0)
  })

  test("gets all of a connection that is closed, then its end", async () => {
    const correspondent = await connected()
    correspondent.send(Uint8Array.of(1, 2))
    correspondent.send(Uint8Array.of(3, 4))
    correspondent.sockets.close(correspondent.socket)
    expect(correspondent.calls).toEqual(["write 2"])
    expect(await correspondent.take()).toEqual(["write 2", "write 2", "end", "close"])
    expect(correspondent.received).toEqual([1, 2, 3, 4])
  })

  test("gets nothing more of a connection that is reset", async () => {
    const correspondent = await connected()
    correspondent.send(Uint8Array.of(1, 2))
    correspondent.send(Uint8Array.of(3, 4))
    correspondent.sockets.reset(correspondent.socket)
    expect(await correspondent.take()).toEqual(["write 2", "abort", "close"])
    expect(correspondent.received).toEqual([1, 2])
  })
})
