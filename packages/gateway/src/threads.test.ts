import { once } from "node:events"
import { readdirSync } from "node:fs"
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { afterAll, beforeAll, expect, test } from "vitest"
import { bundle } from "./bundle.fixture.mjs"
import { ask, TestGuest, webServer } from "./test-support.ts"
import type { ThreadData } from "./thread.fixture.ts"

/**
 * A thread doesn't see the transforms of the test runner. In a folder below the repository, where the addon is found.
 */
const cache = join(import.meta.dirname, "../../../node_modules/.cache")
let folder: string

beforeAll(async () => {
  await mkdir(cache, { recursive: true })
  folder = await mkdtemp(join(cache, "gateway-thread-"))
  await bundle("thread", join(import.meta.dirname, "thread.fixture.ts"), folder)
}, 120_000)

afterAll(() => rm(folder, { recursive: true }))

const descriptors = () => readdirSync("/proc/self/fd").length

test.each(["sys", "node"] as const)(
  "by %s, threads have gateways each, and one that is ended leaves no descriptor",
  async (socketsKind) => {
    const server = await webServer()
    const guest = await TestGuest.open({ socketsKind })
    await ask(guest, server.port)
    const before = descriptors()
    const start = (stays: boolean) => {
      const workerData: ThreadData = { port: server.port, guests: 3, stays, socketsKind }
      return new Worker(join(folder, "thread.mjs"), { workerData })
    }
    const [ends, stays] = [start(false), start(true)]
    const exit = once(ends, "exit")
    const answers = await Promise.all([once(ends, "message"), once(stays, "message"), ask(guest, server.port)])
    const texts = answers.flat(2)
    expect(texts).toHaveLength(7)
    for (const text of texts) expect(text).toContain("served here")
    expect(await exit).toEqual([0])
    await stays.terminate()
    expect(await ask(guest, server.port)).toContain("served here")
    await expect.poll(descriptors).toBeLessThanOrEqual(before)
    guest.gateway.close()
    await server.close()
  },
)
