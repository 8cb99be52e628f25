/** Gateways that share a thread with each other, and with ordinary code. */
import { readdirSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { IcmpType } from "@demiflow/core"
import { attachedArena } from "@demiflow/sys"
import { memoryLinkPair } from "@demiflow/tap"
import { build } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { createGateway } from "./gateway.ts"
import { inUse } from "./memory-in-use.fixture.ts"
import { ask, GATEWAY, GUEST, TestGuest, webServer } from "./test-support.ts"

const descriptors = () => readdirSync("/proc/self/fd").length
const remaining = () => attachedArena()?.remaining
/** Bytes for each guest: less than anything that could be forgotten. */
const LEAST_LEAK = 1_000
/** How long a case with many guests may take, however busy the machine is, milliseconds. */
const LIMIT = 300_000
/** How long a state may take to come, milliseconds: short enough for its own error. */
const POLL_LIMIT = 60_000

const KINDS = ["sys", "node"] as const

test.each(KINDS)(
  "by %s, two guests with the same addresses are served by a web server of this process",
  async (kind) => {
    const server = await webServer()
    const guests = [await TestGuest.open({ socketsKind: kind }), await TestGuest.open({ socketsKind: kind })]
    const answers = guests.map((guest) => ask(guest, server.port))
    // Timers, promises and a client of this process work meanwhile.
    const headers = { connection: "close" }
    const page = fetch(`http://127.0.0.1:${server.port}`, { headers }).then((response) => response.text())
    expect(await Promise.all([page, delay(1, "a timer")])).toEqual(["served here", "a timer"])
    for (const answer of await Promise.all(answers)) expect(answer).toContain("served here")
    guests[0].gateway.close()
    expect(await ask(guests[1], server.port)).toContain("served here")
    guests[1].gateway.close()
    await server.close()
  },
)

/** A guest that comes, is answered, and goes. */
async function visit(socketsKind: (typeof KINDS)[number]): Promise<void> {
  const guest = await TestGuest.open({ socketsKind, nameServers: [] })
  guest.guest.send(build.ip(GUEST, GATEWAY), build.icmp({ type: IcmpType.echoRequest }))
  await guest.frame((frame) => frame.icmp?.type === IcmpType.echoReply)
  guest.gateway.close()
}

test.each([
  ["sys", 3_000],
  ["node", 500],
] as const)(
  "by %s, %i guests that come and go leave nothing behind",
  async (socketsKind, count) => {
    // The first guests cost memory once: V8 compiles and optimises the code.
    for (let visits = 0; visits < count; visits++) await visit(socketsKind)
    // The loop ends when the runtime has its turn.
    await expect.poll(remaining, { timeout: POLL_LIMIT }).toBe(attachedArena()?.buffer.byteLength)
    const [before, held] = [[remaining(), descriptors()], inUse()]
    for (let visits = 0; visits < count; visits++) await visit(socketsKind)
    await expect.poll(() => [remaining(), descriptors()], { timeout: POLL_LIMIT }).toEqual(before)
    await expect.poll(() => (inUse() - held) / count, { timeout: POLL_LIMIT }).toBeLessThan(LEAST_LEAK)
  },
  LIMIT,
)

test("gateways that come and go without a turn of the runtime have one loop", async () => {
  const before = descriptors()
  for (let count = 0; count < 20; count++) {
    const gateway = await createGateway({ link: (arena) => memoryLinkPair(arena, arena, { queueBytes: 65_536 })[0] })
    gateway.close()
    expect(descriptors()).toBeLessThanOrEqual(before + 1)
  }
})

test("what a gateway held is free for others while one stays", async () => {
  const stays = await TestGuest.open()
  const [first, second] = [await TestGuest.open(), await TestGuest.open()]
  const before = [remaining(), descriptors()]
  for (let count = 0; count < 20; count++) {
    first.gateway.close()
    const again = await TestGuest.open()
    again.gateway.close()
  }
  expect([remaining(), descriptors()]).toEqual(before)
  for (const { gateway } of [second, stays]) gateway[Symbol.dispose]()
})

test("a link that can't be closed costs no memory, and the others continue", async () => {
  const stays = await TestGuest.open()
  const before = remaining()
  const gateway = await createGateway({
    link: (arena) => {
      const [link] = memoryLinkPair(arena, arena, { queueBytes: 65_536 })
      link.close = () => {
        throw new Error("it is stuck")
      }
      return link
    },
  })
  expect(() => gateway.close()).toThrow("it is stuck")
  expect(remaining()).toBe(before)
  stays.gateway.close()
})
