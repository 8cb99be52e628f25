/** A guest's TCP and UDP through a whole stack and a relay, with real servers on loopback. */
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import type { Socket as NodeSocket } from "node:net"
import { build, type GuestConnection, patternBytes } from "@demiflow/testkit"
import { WispSockets } from "@demiflow/web-sockets"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { GATEWAY, GATEWAY_V6, LoopGuest, serve } from "../../../packages/node-sockets/src/guest.fixture.ts"
import { freePorts } from "../../../packages/node-sockets/src/test-support.ts"
import { TestRelay } from "./test-support.ts"

const MEBIBYTE = 1 << 20
const TRANSFER = 16 * MEBIBYTE

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (condition()) resolve()
      else setTimeout(check, 1)
    }
    check()
  })
}

describe.each(["with the extension", "of version 1.2 alone"])("by a relay %s", (kind) => {
  const isTwoWay = kind === "with the extension"
  let relay: TestRelay
  let guest: LoopGuest<WispSockets>
  const cleanUp: (() => void)[] = []

  beforeEach(async () => {
    relay = await TestRelay.start()
    const open = isTwoWay ? relay.open : relay.openPlain
    guest = new LoopGuest({ sockets: (arena, loop) => new WispSockets(arena, loop, { open }) })
  })

  afterEach(() => {
    guest.close()
    expect(guest.sockets.openSockets).toBe(0)
    expect(guest.tcp.violations).toEqual([])
    guest.sockets.disconnect()
    relay.close()
    for (const each of cleanUp.splice(0)) each()
  })

  async function open(onConnection: (socket: NodeSocket) => void, address = GATEWAY): Promise<GuestConnection> {
    const { server, port } = await serve(onConnection)
    cleanUp.push(() => server.close())
    return connectTo(port, address)
  }

  function connectTo(port: number, address = GATEWAY): GuestConnection {
    const connection = guest.tcp.connect({ address, port, receiveBuffer: MEBIBYTE, windowScale: 7 })
    guest.kick()
    return connection
  }

  test.each([
    ["IPv4", GATEWAY],
    ["IPv6", GATEWAY_V6],
  ])("16 MiB go each way at once over %s, each byte in its place", async (_, address) => {
    const [up, down] = [patternBytes(TRANSFER, 1), patternBytes(TRANSFER, 2)]
    const hash = createHash("sha256")
    let received = 0
    const connection = await open((socket) => {
      socket.write(down)
      socket.on("data", (bytes) => {
        hash.update(bytes)
        received += bytes.length
        if (received === up.length) socket.end()
      })
    }, address)
    connection.write(up)
    guest.kick()
    await until(() => received === up.length && connection.isEnded)
    connection.end()
    guest.kick()
    expect(hash.digest("hex")).toBe(hashOf(up))
    expect(hashOf(connection.received)).toBe(hashOf(down))
    await until(() => guest.sockets.openSockets === 0)
    expect(connection.failure).toBeUndefined()
  })

  test("a guest that doesn't read gets everything when it does", async () => {
    const content = patternBytes(TRANSFER)
    let server: NodeSocket | undefined
    const connection = await open((socket) => {
      server = socket
      socket.end(content)
    })
    connection.pause()
    let [unread, quiet] = [-1, 0]
    await until(() => {
      quiet = connection.unread === unread && unread > 0 ? quiet + 1 : 0
      unread = connection.unread
      return quiet === 100
    })
    // With credit, the relay has stopped reading: the rest is where it came from.
    if (isTwoWay) expect(server?.writableLength).toBeGreaterThan(0)
    connection.resume()
    guest.kick()
    await until(() => connection.isEnded)
    expect(hashOf(connection.received)).toBe(hashOf(content))
  })

  test("a server that doesn't read closes the guest's window, and then gets everything", async () => {
    const content = patternBytes(2 * TRANSFER)
    const hash = createHash("sha256")
    let server: NodeSocket | undefined
    let received = 0
    const connection = await open((socket) => {
      server = socket.pause()
      socket.on("data", (bytes) => {
        hash.update(bytes)
        received += bytes.length
      })
      socket.pause()
    })
    connection.write(content)
    guest.kick()
    let [left, quiet] = [-1, 0]
    await until(() => {
      quiet = connection.unacknowledged === left && server !== undefined ? quiet + 1 : 0
      left = connection.unacknowledged
      return quiet === 100
    })
    expect(left).toBeGreaterThan(MEBIBYTE)
    server?.resume()
    await until(() => received === content.length)
    expect(hash.digest("hex")).toBe(hashOf(content))
  })

  test("a guest that ends its direction still receives", async () => {
    let question = ""
    const connection = await open((socket) => {
      const answer = () => socket.end(`an answer to "${question}"`)
      socket.on("data", (bytes) => {
        question += bytes
        // By version 1.2 alone, a server hears of no end while the other direction is open.
        if (!isTwoWay && question === "a question") setTimeout(answer, 20)
      })
      if (isTwoWay) socket.on("end", answer)
    })
    connection.write("a question")
    connection.end()
    guest.kick()
    await until(() => connection.isEnded)
    expect(connection.receivedText).toBe('an answer to "a question"')
  })

  const testTwoWay = (name: string, run: () => Promise<void>) => isTwoWay && test(name, run)

  testTwoWay("a server that ends first still receives", async () => {
    const received: Uint8Array[] = []
    let hasEnded = false
    const connection = await open((socket) => {
      socket.end("nothing more from here")
      socket.on("data", (bytes) => received.push(bytes))
      socket.on("end", () => {
        hasEnded = true
      })
    })
    await until(() => connection.isEnded)
    const content = patternBytes(MEBIBYTE)
    connection.write(content)
    connection.end()
    guest.kick()
    await until(() => hasEnded)
    expect(hashOf(Buffer.concat(received))).toBe(hashOf(content))
  })

  test("a closed port refuses", async () => {
    const [port] = await freePorts(1)
    for (const address of [GATEWAY, GATEWAY_V6]) {
      const connection = connectTo(port, address)
      await until(() => connection.failure !== undefined)
      expect(connection.failure).toBe("refused")
    }
  })

  test("a reset by the server is one for the guest, never an orderly end", async () => {
    const connection = await open((socket) => {
      socket.write("the beginning")
      socket.on("data", () => socket.resetAndDestroy())
    })
    await until(() => connection.receivedText === "the beginning")
    connection.write("go away")
    guest.kick()
    await until(() => connection.failure !== undefined)
    expect(connection.failure).toBe("reset")
    expect(connection.isEnded).toBe(false)
  })

  test("a reset by the guest is one for the server", async () => {
    let code: string | undefined
    const connection = await open((socket) => {
      socket.write("hello")
      socket.resume()
      socket.on("error", (error: NodeJS.ErrnoException) => {
        code = error.code
      })
    })
    await until(() => connection.receivedLength === 5)
    connection.reset()
    guest.kick()
    await until(() => code !== undefined)
    expect(code).toBe("ECONNRESET")
  })

  test("a relay that dies resets what is open, and serves again when it is back", async () => {
    const connection = await open((socket) => socket.write("the beginning"))
    await until(() => connection.receivedText === "the beginning")
    relay.breakAll()
    await until(() => connection.failure !== undefined)
    expect(connection.failure).toBe("reset")
    expect(connection.isEnded).toBe(false)
    const next = await open((socket) => socket.end("again"))
    await until(() => next.isEnded)
    expect(next.receivedText).toBe("again")
  })

  test.each([
    ["udp4", GATEWAY, "127.0.0.1", "192.0.2.2"],
    ["udp6", GATEWAY_V6, "::1", "2001:db8::2"],
  ] as const)("a server of %s answers the guest", async (type, address, loopback, own) => {
    const server = createSocket(type)
    cleanUp.push(() => server.close())
    server.on("message", (text, { port, address }) => server.send(`${text} to you`, port, address))
    server.bind(0, loopback)
    await once(server, "listening")
    const layers = [build.ip(own, address), build.udp({ sourcePort: 4_000, targetPort: server.address().port })]
    guest.guest.send(...layers, build.payload("hello"))
    guest.kick()
    await until(() => guest.guest.inbox.length > 0)
    expect(new TextDecoder().decode(guest.guest.inbox[0].payload)).toBe("hello to you")
  })
})
