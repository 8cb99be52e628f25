/** A guest behind a gateway, in real time: the guest of the testkit, at the other end of a link in memory. */
import { once } from "node:events"
import { createServer } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { type MemoryLink, memoryLinkPair } from "@demiflow/tap"
import { GuestTcp, type ReceivedFrame, ScriptedGuest, staticPorts, VirtualClock } from "@demiflow/testkit"
import { createGateway, type Gateway } from "./gateway.ts"
import type { GatewayOptions } from "./options.ts"

const QUEUE_BYTES = 256 << 10

export const GUEST = "10.0.2.15"
export const GATEWAY = "10.0.2.2"
export const DNS = "10.0.2.3"
export const GUEST_V6 = "fd9a:559a:559a:2::15"
export const GATEWAY_V6 = "fd9a:559a:559a:2::2"
export const LINK_LOCAL = "fe80::2"

/** What a test may set: everything but the link. */
export type TestOptions = Omit<GatewayOptions, "link" | "linkBytes">

export class TestGuest {
  readonly gateway: Gateway
  readonly end: MemoryLink
  readonly guest: ScriptedGuest
  readonly tcp: GuestTcp
  readonly #clock = new VirtualClock()
  readonly #start = performance.now() - this.#clock.now

  constructor(gateway: Gateway, end: MemoryLink) {
    this.gateway = gateway
    this.end = end
    this.guest = new ScriptedGuest(end, { clock: this.#clock, addresses: [GUEST, GUEST_V6, LINK_LOCAL] })
    this.tcp = new GuestTcp(this.guest)
  }

  static async open(options: TestOptions = {}): Promise<TestGuest> {
    const ends: MemoryLink[] = []
    const gateway = await createGateway({
      ...options,
      linkBytes: 1 << 20,
      link(arena) {
        ends.push(...memoryLinkPair(arena, arena, { queueBytes: QUEUE_BYTES, queueFrames: 256 }))
        return ends[0]
      },
    })
    return new TestGuest(gateway, ends[1])
  }

  /** Waits until a frame has come that the function wants, and takes it. */
  frame(isWanted: (frame: ReceivedFrame) => boolean): Promise<ReceivedFrame> {
    const { inbox } = this.guest
    return this.until(() => {
      const index = inbox.findIndex(isWanted)
      return index < 0 ? undefined : inbox.splice(index, 1)[0]
    })
  }

  /** Lets the guest work, beside everything else, until the function returns something. */
  async until<Result>(find: () => Result | undefined | false): Promise<Result> {
    for (;;) {
      this.#clock.advance(Math.max(0, Math.floor(performance.now() - this.#start - this.#clock.now)))
      const found = find()
      if (found !== undefined && found !== false) return found
      await new Promise(setImmediate)
    }
  }
}

/** Asks a web server of this process, from a guest. */
export async function ask(guest: TestGuest, port: number): Promise<string> {
  const connection = guest.tcp.connect({ address: GATEWAY, port })
  connection.write("GET / HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
  await guest.until(() => connection.isEnded)
  connection.end()
  return connection.receivedText
}

export async function webServer(): Promise<{ port: number; close: () => Promise<unknown> }> {
  const server = createServer((_, response) => response.end("served here"))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return { port, close: () => new Promise((resolve) => server.close(resolve)) }
}

const ports = staticPorts()

/** A port that nobody uses. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = ports.next().value
    const server = createTcpServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
