import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Address, Arena, DatagramBatch, Demiflow, Errno, Interface, type SideRef, UNSPECIFIED_V4 } from "@demiflow/core"
import { afterEach, describe, expect, test } from "vitest"
import { ConnectSockets } from "../connect/connect-sockets.ts"
import { nodeConnect } from "../connect/node-connect.fixture.ts"
import { WebLoop } from "../web-loop.ts"
import { DnsOverHttps } from "./dns-over-https.ts"

/** A question for the address of example.test, with this identifier and, if given, room for answers. */
function query(identifier: number, room?: number): Uint8Array {
  const options = room === undefined ? [] : [0, 0, 41, room >> 8, room & 0xff, 0, 0, 0, 0, 0, 0]
  const name = [..."example"].map((letter) => letter.charCodeAt(0))
  const count = room === undefined ? 0 : 1
  const header = [identifier >> 8, identifier & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, count]
  return Uint8Array.of(...header, 7, ...name, 4, 116, 101, 115, 116, 0, 0, 1, 0, 1, ...options)
}

/** An answer of this length. */
function answer(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  bytes.set(query(0))
  bytes.set([0x81, 0x80, 0, 1, 0, 1], 2)
  return bytes
}

const cleanUp: (() => void)[] = []
afterEach(() => {
  for (const each of cleanUp.splice(0)) each()
})

interface Asked {
  readonly method: string | undefined
  readonly type: string | undefined
  readonly body: Uint8Array
}

/** A server of DNS over HTTP, without the S. */
async function serve(respond: (response: ServerResponse) => void): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = []
  const server = createServer(async (request: IncomingMessage, response) => {
    const pieces: Uint8Array[] = []
    for await (const piece of request) pieces.push(piece)
    asked.push({
      method: request.method,
      type: request.headers["content-type"],
      body: new Uint8Array(Buffer.concat(pieces)),
    })
    respond(response)
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  cleanUp.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dns-query`, asked }
}

const withType = (bytes: Uint8Array) => (response: ServerResponse) =>
  response.writeHead(200, { "content-type": "application/dns-message" }).end(bytes)

const ask = (url: string, message: Uint8Array) =>
  new Promise<Uint8Array>((resolve) => new DnsOverHttps({ url }).ask(message, resolve))

describe("a query", () => {
  test("is posted without its identifier, and answered with it", async () => {
    const { url, asked } = await serve(withType(answer(100)))
    const bytes = await ask(url, query(0xabcd))
    const expected = answer(100)
    expected.set([0xab, 0xcd])
    expect(bytes).toEqual(expected)
    expect(asked).toEqual([{ method: "POST", type: "application/dns-message", body: query(0) }])
  })

  test.each([
    ["an error", (response: ServerResponse) => response.writeHead(503).end()],
    ["another type", (response: ServerResponse) => response.writeHead(200, { "content-type": "text/html" }).end("no")],
    ["a few bytes", withType(new Uint8Array(5))],
    ["a query", withType(query(0))],
    ["far too much", withType(answer(70_000))],
    ["nothing at all", (response: ServerResponse) => response.destroy()],
  ])("whose answer is %s fails at once", async (_, respond) => {
    const { url } = await serve(respond as (response: ServerResponse) => void)
    const bytes = await ask(url, query(0xabcd))
    const expected = query(0xabcd)
    expected.set([0x81, 2], 2)
    expect(bytes).toEqual(expected)
  })

  test.each([
    [undefined, 512, false],
    [undefined, 513, true],
    [1_232, 1_232, false],
    [1_232, 1_233, true],
    [100, 512, false],
  ])("with room for %s bytes, and an answer of %i, is answered by a part: %s", async (room, length, isCut) => {
    const { url } = await serve(withType(answer(length)))
    const bytes = await ask(url, query(1, room))
    expect(bytes.length).toBe(isCut ? query(1).length : length)
    expect((bytes[2] & 2) !== 0).toBe(isCut)
  })

  test("that is none has no answer", () => {
    const dns = new DnsOverHttps({
      url: "",
      fetch: () => {
        throw new Error("Nothing is asked")
      },
    })
    for (const bytes of [new Uint8Array(0), new Uint8Array(11), answer(30)]) {
      dns.ask(bytes, () => expect.unreachable())
    }
  })

  test("of too many at once fails at once", async () => {
    const dns = new DnsOverHttps({ url: "", fetch: () => new Promise(() => {}) })
    let answers = 0
    for (let count = 0; count < 300; count++) dns.ask(query(count), () => answers++)
    expect(answers).toBe(300 - 256)
  })

  test("of any bytes throws nothing", async () => {
    const { url } = await serve((response) => response.writeHead(500).end())
    for (const tail of [[0xc0], [63, 1], [0, 0, 1, 0], [0xff, 0xff]]) {
      const message = Uint8Array.of(0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 9, ...tail)
      expect((await ask(url, message))[3] & 15).toBe(2)
    }
  })
})

test("a datagram to port 53 is answered from where it was sent to, and others go nowhere", async () => {
  const { url } = await serve(withType(answer(100)))
  const arena = new Arena(1 << 16)
  const sockets = new ConnectSockets(arena, new WebLoop(), { connect: nodeConnect, dnsOverHttps: { url } })
  const towards = (port: number) =>
    Demiflow.of(Interface.host, UNSPECIFIED_V4 as Address, 0, Address.parse("192.0.2.53"), port)
  const socket = sockets.udpBind(1 as SideRef, towards(53))
  const batch = new DatagramBatch(1)
  batch.offset[0] = arena.reserve(1_024, 8)
  const message = query(7)
  arena.bytes.set(message, batch.offset[0])
  batch.length[0] = message.length
  expect(sockets.sendDatagramsTo(socket, towards(54), 0, batch, 0, 1)).toBe(-Errno.ENETUNREACH)
  expect(sockets.sendDatagramsTo(socket, towards(53), 0, batch, 0, 1)).toBe(1)
  const ends = [new Demiflow(Interface.host)]
  for (;;) {
    batch.length[0] = 1_024
    if (sockets.receiveFromAnyone(socket, batch, ends, 1) === 1) break
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  expect(batch.length[0]).toBe(100)
  expect([ends[0].correspondentAddress.toString(), ends[0].correspondentPort]).toEqual(["192.0.2.53", 53])
  sockets.close(socket)
})
