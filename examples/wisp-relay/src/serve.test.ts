/** The program that serves this machine. */
import { once } from "node:events"
import { expect, test, vi } from "vitest"
import { WebSocket } from "./ws.ts"

test("pages of other sites are refused, and messages that are no packets", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {})
  process.argv = [...process.argv.slice(0, 2), "0"]
  await import("./serve.ts")
  await vi.waitUntil(() => log.mock.calls.length > 0)
  const url = String(log.mock.calls[0][0]).replace("relay at ", "")

  for (const origin of [
    "http://site.example",
    "http://localhost.site.example",
    "http://127.0.0.1.site.example:80",
    "null",
  ]) {
    const [error] = await once(new WebSocket(url, { origin }), "open").then(
      () => [],
      (failure) => [failure],
    )
    expect(error?.message, origin).toContain("401")
  }
  for (const origin of [undefined, "http://127.0.0.1:8087", "http://localhost"]) {
    const webSocket = new WebSocket(url, { origin })
    await once(webSocket, "open")
    webSocket.send(Buffer.alloc(5 + (64 << 10)))
    webSocket.send(Buffer.alloc(6 + (64 << 10)))
    expect((await once(webSocket, "close"))[0]).toBe(1_009)
  }
})
