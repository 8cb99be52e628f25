/**
 * One guest's flood, beside a guest that asks for little: what counts is how much of the flood comes before an answer.
 */
import { once } from "node:events"
import { createServer } from "node:net"
import { FrameBatch } from "@demiflow/core"
import { build, buildPacket, payload } from "@demiflow/testkit"
import { afterEach, expect, test } from "vitest"
import { GATEWAY, GUEST, TestGuest } from "./test-support.ts"

const cleanUp: (() => unknown)[] = []

afterEach(() => {
  for (const step of cleanUp.splice(0).reverse()) step()
})

/** Turns of the runtime in which an exchange of a few packets has to be done. Without a flood it takes ten or so. */
const TURNS = 40
/** What a stack takes from its link in a turn, at most. */
const FRAMES_PER_TURN = 256

/** A guest whose link has a frame whenever the stack asks for one: only a bound of the stack's own ends a turn. */
async function flooder(socketsKind: "sys" | "node", frame: Uint8Array): Promise<{ guest: TestGuest; frames: number }> {
  const guest = await TestGuest.open({ socketsKind })
  const { link } = guest.gateway
  const flood = { guest, frames: 0 }
  const batch = new FrameBatch(64)
  const scratch = guest.end.arena.reserve(2_048)
  guest.end.arena.bytes.set(frame, scratch)
  for (let index = 0; index < 64; index++) batch.setPlain(index, scratch, frame.length)
  const receive = link.receive.bind(link)
  link.receive = (into) => {
    guest.end.send(batch, 0, 64)
    const count = receive(into)
    flood.frames += count
    return count
  }
  cleanUp.push(() => guest.gateway.close())
  return flood
}

const datagram = (port: number) =>
  buildPacket(
    build.ethernet(),
    build.ip(GUEST, GATEWAY),
    build.udp({ sourcePort: 4_000, targetPort: port }),
    payload("x"),
  )
const syn = (port: number) =>
  buildPacket(
    build.ethernet(),
    build.ip(GUEST, GATEWAY),
    build.tcp({ sourcePort: 4_001, targetPort: port, flags: "S" }),
  )

test.each([
  ["sys", "datagrams to a closed port", datagram(9)],
  ["sys", "connections to a closed port", syn(9)],
  ["node", "datagrams to a closed port", datagram(9)],
  ["node", "connections to a closed port", syn(9)],
] as const)("by %s, %s of one guest leave another its share of the turns", async (socketsKind, _, frame) => {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(0, "127.0.0.1")
  await once(server, "listening")
  cleanUp.push(() => server.close())
  const { port } = server.address() as { port: number }
  const flood = await flooder(socketsKind, frame)
  const other = await TestGuest.open({ socketsKind })
  cleanUp.push(() => other.gateway.close())
  const drain = new FrameBatch(256)
  await other.until(() => flood.frames > FRAMES_PER_TURN)
  for (let exchange = 0; exchange < 5; exchange++) {
    const before = flood.frames
    let turns = 0
    const connection = other.tcp.connect({ address: GATEWAY, port })
    connection.write("hello")
    await other.until(() => {
      flood.guest.end.receive(drain)
      turns++
      return connection.receivedText === "hello"
    })
    connection.reset()
    expect(turns).toBeLessThan(TURNS)
    expect(flood.frames - before).toBeLessThanOrEqual(turns * FRAMES_PER_TURN * 2)
  }
  expect(flood.frames).toBeGreaterThan(FRAMES_PER_TURN)
})
