/** A guest's TCP and UDP through a whole stack, with real servers on loopback. */
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { connect, createServer, type Socket as NodeSocket } from "node:net"
import { Address, Errno, IpProtocol } from "@demiflow/core"
import { build, type GuestConnection, patternBytes } from "@demiflow/testkit"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { GATEWAY, GATEWAY_V6, GuestOnNode, serve } from "./guest.fixture.ts"
import { freePorts } from "./test-support.ts"

const MEBIBYTE = 1 << 20
const TRANSFER = 32 * MEBIBYTE

let guest: GuestOnNode
const cleanUp: (() => void)[] = []

beforeEach(() => {
  guest = new GuestOnNode()
})

afterEach(() => {
  guest.close()
  expect(guest.sockets.openSockets).toBe(0)
  expect(guest.tcp.violations).toEqual([])
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

function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (condition()) resolve()
      else setTimeout(check, 1)
    }
    check()
  })
}

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

describe.each([
  ["IPv4", GATEWAY],
  ["IPv6", GATEWAY_V6],
])("over %s", (_, address) => {
  test("32 MiB go each way at once, each byte in its place, to orderly ends", async () => {
    const [up, down] = [patternBytes(TRANSFER, 1), patternBytes(TRANSFER, 2)]
    const hash = createHash("sha256")
    let hasEnded = false
    const connection = await open((socket) => {
      socket.on("data", (bytes) => hash.update(bytes))
      socket.on("end", () => {
        hasEnded = true
      })
      socket.end(down)
    }, address)
    connection.write(up)
    connection.end()
    guest.kick()
    await until(() => hasEnded && connection.isEnded)
    expect(hash.digest("hex")).toBe(hashOf(up))
    expect(hashOf(connection.received)).toBe(hashOf(down))
    await until(() => guest.sockets.openSockets === 0)
    expect(connection.failure).toBeUndefined()
  })
})

/** Listens at a port that the policy keeps: not one of those that systems choose. */
async function holdKeptPort(): Promise<number> {
  for (let port = 21_000; ; port++) {
    const holder = createServer()
    const isFree = new Promise<boolean>((resolve) => {
      holder.once("error", () => resolve(false)).listen(port, () => resolve(true))
    })
    if (!(await isFree)) continue
    cleanUp.push(() => holder.close())
    return port
  }
}

test("a guest's port that another program of the host listens at is replaced by any", async () => {
  const taken = await holdKeptPort()
  const ports: (number | undefined)[] = []
  const { server, port } = await serve(({ remotePort }) => ports.push(remotePort))
  cleanUp.push(() => server.close())
  const connection = guest.tcp.connect({ address: GATEWAY, port, fromPort: taken })
  guest.kick()
  await until(() => ports.length > 0 && connection.state === "established")
  expect(ports).toEqual([expect.any(Number)])
  expect(ports).not.toEqual([taken])
  connection.reset()
  guest.kick()
  await until(() => guest.sockets.openSockets === 0)
})

test("a direction that has ended leaves the other open", async () => {
  let question = ""
  const connection = await open((socket) => {
    socket.on("data", (bytes) => {
      question += bytes
    })
    socket.on("end", () => socket.end(`an answer to "${question}"`))
  })
  connection.write("a question")
  connection.end()
  guest.kick()
  await until(() => connection.isEnded)
  expect(connection.receivedText).toBe('an answer to "a question"')
})

test("a server that ends first still receives", async () => {
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

test("a closed port refuses", async () => {
  const [port] = await freePorts(1)
  for (const address of [GATEWAY, GATEWAY_V6]) {
    const connection = connectTo(port, address)
    await until(() => connection.failure !== undefined)
    expect(connection.failure).toBe("refused")
  }
})

test("a guest that doesn't read closes the window of the server, and then gets everything", async () => {
  const content = patternBytes(64 * MEBIBYTE)
  let server: NodeSocket | undefined
  const connection = await open((socket) => {
    server = socket
    socket.end(content)
  })
  connection.pause()
  // Until nothing has moved for a hundred turns of the runtime.
  let [written, quiet] = [-1, 0]
  await until(() => {
    const now = server === undefined ? -1 : content.length - server.writableLength
    quiet = now === written && connection.unread > 0 ? quiet + 1 : 0
    written = now
    return quiet === 100
  })
  // The runtime counts the whole piece until it has left.
  expect(server?.writableLength).toBe(content.length)
  connection.resume()
  guest.kick()
  await until(() => connection.isEnded)
  expect(hashOf(connection.received)).toBe(hashOf(content))
})

test("a server that doesn't read closes the guest's window, and then gets everything", async () => {
  const content = patternBytes(64 * MEBIBYTE)
  const hash = createHash("sha256")
  let server: NodeSocket | undefined
  let hasEnded = false
  const connection = await open((socket) => {
    server = socket.pause()
    socket.on("data", (bytes) => hash.update(bytes))
    socket.on("end", () => {
      hasEnded = true
    })
    socket.pause()
  })
  connection.write(content)
  connection.end()
  guest.kick()
  let [left, quiet] = [-1, 0]
  await until(() => {
    quiet = connection.unacknowledged === left && server !== undefined ? quiet + 1 : 0
    left = connection.unacknowledged
    return quiet === 100
  })
  expect(left).toBeGreaterThan(32 * MEBIBYTE)
  server?.resume()
  guest.kick()
  await until(() => hasEnded)
  expect(hash.digest("hex")).toBe(hashOf(content))
})

/** Forwards a port of the host's loopback to one of the guest. */
async function forward(protocol: number, address: string, targetPort: number): Promise<number> {
  const [port] = await freePorts(1)
  const end = { address: Address.parse(address), port, interfaceName: undefined, freebind: false }
  expect(guest.running.stack.listen(protocol, end, undefined, targetPort)).toBeGreaterThanOrEqual(0)
  return port
}

test.each([
  ["IPv4", "127.0.0.1"],
  ["IPv6", "::1"],
])("a client outside reaches a server of the guest over %s", async (_, host) => {
  const content = patternBytes(4 * MEBIBYTE)
  guest.tcp.listen(80, (connection) => {
    connection.onEnd = () => {
      connection.write(connection.received)
      connection.end()
    }
  })
  const port = await forward(IpProtocol.tcp, host, 80)
  const client = connect({ host, port, allowHalfOpen: true })
  const received: Uint8Array[] = []
  client.on("data", (bytes) => received.push(bytes))
  client.end(content)
  await once(client, "end")
  expect(hashOf(Buffer.concat(received))).toBe(hashOf(content))
  await until(() => guest.tcp.connections.every(({ isFinished }) => isFinished))
})

test("a client outside is reset where the guest has no server", async () => {
  const client = connect(await forward(IpProtocol.tcp, "127.0.0.1", 81), "127.0.0.1")
  const [error] = await once(client, "error")
  expect(error.code).toBe("ECONNRESET")
})

test.each([
  ["udp4", "127.0.0.1", "192.0.2.2"],
  ["udp6", "::1", "2001:db8::2"],
] as const)("a client outside reaches a server of the guest by %s", async (type, host, own) => {
  const client = createSocket(type)
  cleanUp.push(() => client.close())
  guest.guest.onFrame(({ ip, udp, payload }) => {
    if (ip === undefined || udp === undefined) return false
    const ports = { sourcePort: udp.targetPort, targetPort: udp.sourcePort }
    guest.guest.send(build.ip(own, ip.source), build.udp(ports), build.payload(`${new TextDecoder().decode(payload)}!`))
    return true
  })
  const port = await forward(IpProtocol.udp, host, 53)
  client.send("hello", port, host)
  const [answer, from] = await once(client, "message")
  expect([`${answer}`, from.port]).toEqual(["hello!", port])
})

test("a port that another program has is reported when the system refuses it", async () => {
  const { server, port } = await serve(() => {})
  cleanUp.push(() => server.close())
  const end = { address: Address.parse("127.0.0.1"), port, interfaceName: undefined, freebind: false }
  expect(guest.running.stack.listen(IpProtocol.tcp, end, undefined, 80)).toBeGreaterThanOrEqual(0)
  await until(() => guest.listenErrors.length > 0)
  expect(guest.listenErrors).toEqual([[port, Errno.EADDRINUSE]])
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
