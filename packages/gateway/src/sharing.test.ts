/** Gateways that share a thread with each other, and with ordinary code. */
import { readdirSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { attachedArena } from "@demiflow/sys"
import { memoryLinkPair } from "@demiflow/tap"
import { expect, test } from "vitest"
import { createGateway } from "./gateway.ts"
import { ask, TestGuest, webServer } from "./test-support.ts"

const descriptors = () => readdirSync("/proc/self/fd").length
const remaining = () => attachedArena()?.remaining

test("two guests with the same addresses are served at once, by a web server of this process", async () => {
  const server = await webServer()
  const guests = [await TestGuest.open(), await TestGuest.open()]
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
})

test("gateways that come and go leave nothing behind", async () => {
  const first = await TestGuest.open()
  first.gateway.close()
  // The loop ends when the runtime has its turn.
  await expect.poll(remaining).toBe(attachedArena()?.buffer.byteLength)
  const before = [remaining(), descriptors()]
  for (let count = 0; count < 300; count++) {
    const guest = await TestGuest.open()
    expect(remaining()).toBeLessThan(before[0] ?? 0)
    guest.gateway.close()
    guest.gateway.close()
  }
  await expect.poll(() => [remaining(), descriptors()]).toEqual(before)
})

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
