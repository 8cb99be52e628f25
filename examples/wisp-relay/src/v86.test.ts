/**
 * An independent client: v86's network device for `wisp://` has a client and a TCP of its own. The machine isn't booted;
 * a guest of the testkit is at its network card.
 */
import { createHash } from "node:crypto"
import { createRequire } from "node:module"
import type { Socket as NodeSocket } from "node:net"
import { Arena } from "@demiflow/core"
import { memoryLinkPair } from "@demiflow/tap"
import { GuestTcp, LinkEnd, patternBytes, ScriptedGuest, VirtualClock } from "@demiflow/testkit"
import { afterEach, beforeEach, expect, test } from "vitest"
import { serve } from "../../../packages/node-sockets/src/guest.fixture.ts"
import { TestRelay } from "./test-support.ts"
import { WebSocket } from "./ws.ts"

const MAC = "52:54:00:12:34:56"
/** Of v86's router, if it isn't given another. */
const ROUTER_MAC = "52:54:00:01:02:03"
const GUEST = "192.168.86.100"

interface Bus {
  send(name: string, value: unknown): void
  register(name: string, listener: (value: Uint8Array) => void): void
}

/** What is used of v86, as its package names it. */
interface Machine {
  /** The side of the machine's devices. */
  readonly emulator_bus: Bus
  readonly network_adapter: { readonly connections: { readonly 0: { readonly congestion: number } } }
  add_listener(name: string, listener: () => void): void
  destroy(): Promise<void>
}

let relay: TestRelay
let machine: Machine
let tcp: GuestTcp
let ticking: NodeJS.Timeout
const cleanUp: (() => void)[] = []

beforeEach(async () => {
  relay = await TestRelay.start()
  // Node.js 20 has none.
  Object.assign(globalThis, { WebSocket })
  const { V86 } = (await import("v86")) as unknown as { V86: new (options: object) => Machine }
  machine = new V86({
    wasm_path: createRequire(import.meta.url)
      .resolve("v86")
      .replace("libv86.mjs", "v86.wasm"),
    net_device: { type: "none", relay_url: relay.url.replace("ws:", "wisp:") },
    autostart: false,
  })
  await new Promise<void>((resolve) => machine.add_listener("emulator-loaded", resolve))
  // A connection that the guest begins before the relay has given credit is forgotten.
  await until(() => machine.network_adapter.connections[0].congestion > 0)
  const arena = new Arena(10 << 20)
  const [link, cable] = memoryLinkPair(arena, arena, { queueBytes: 4 << 20 })
  const clock = new VirtualClock()
  tcp = new GuestTcp(new ScriptedGuest(link, { clock, mac: MAC, gatewayMac: ROUTER_MAC, addresses: [GUEST] }))
  const card = new LinkEnd(cable)
  const bus = machine.emulator_bus
  bus.send("net0-mac", MAC)
  bus.register("net0-receive", (bytes) => card.send({ bytes }))
  ticking = setInterval(() => {
    for (const { bytes } of card.receive()) bus.send("net0-send", bytes)
    clock.advance(1)
  }, 1)
})

afterEach(async () => {
  clearInterval(ticking)
  for (const each of cleanUp.splice(0)) each()
  relay.close()
  await machine.destroy()
})

async function open(onConnection: (socket: NodeSocket) => void) {
  const { server, port } = await serve(onConnection)
  cleanUp.push(() => server.close())
  return tcp.connect({ address: "127.0.0.1", port })
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

test("a guest of v86 downloads by the relay, to an orderly end", async () => {
  // v86 has one segment under way at a time.
  const content = patternBytes(64 << 10)
  const connection = await open((socket) => socket.end(content))
  await until(() => connection.isEnded || connection.failure !== undefined)
  expect(connection.failure).toBeUndefined()
  expect(hashOf(connection.received)).toBe(hashOf(content))
})

test("a guest of v86 uploads by the relay, beyond its first credit", async () => {
  const content = patternBytes(1 << 20)
  const received: Uint8Array[] = []
  let length = 0
  const connection = await open((socket) => {
    socket.on("data", (bytes) => {
      received.push(bytes)
      length += bytes.length
      if (length === content.length) socket.end("thanks")
    })
  })
  connection.write(content)
  await until(() => connection.isEnded || connection.failure !== undefined)
  expect(connection.receivedText).toBe("thanks")
  expect(hashOf(Buffer.concat(received))).toBe(hashOf(content))
})
