/** The program, with pages that send nothing. */
import { once } from "node:events"
import { afterEach, beforeAll, expect, test, vi } from "vitest"
import { WebSocket } from "ws"
import { freePorts } from "../../../packages/node-sockets/src/test-support.ts"

const PORTS = 16

let url: string
const pages: WebSocket[] = []

beforeAll(async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {})
  const [port] = await freePorts(1)
  process.argv = [...process.argv.slice(0, 2), String(port)]
  await import("./main.ts")
  await vi.waitUntil(() => log.mock.calls.length > 0)
  url = String(log.mock.calls[0][0])
})

afterEach(async () => {
  for (const page of pages.splice(0)) await close(page)
})

function open(path: string): WebSocket {
  const page = new WebSocket(new URL(path, url.replace("http", "ws")))
  pages.push(page)
  return page
}

async function close(page: WebSocket): Promise<void> {
  if (page.readyState === WebSocket.CLOSED) return
  page.close()
  await once(page, "close")
}

/** The port that leads to the guest of a path. */
async function portAt(path: string): Promise<number | undefined> {
  const text = await (await fetch(new URL(path, url))).text()
  return text === "" ? undefined : JSON.parse(text).guestPort
}

/** Waits for the network of a page: its port, or the code with which the program closes the page. */
async function outcome(path: string, page: WebSocket): Promise<number> {
  let result: number | undefined
  page.on("close", (code) => {
    result = code
  })
  while (result === undefined) {
    const port = await portAt(path)
    result ??= port
  }
  return result
}

test("a page that closes leaves the network of another with the same path", async () => {
  const first = open("/same")
  const port = await outcome("/same", first)
  open("/same")
  await vi.waitUntil(async () => (await portAt("/same")) !== port)
  await close(first)
  await outcome("/next", open("/next"))
  expect(await portAt("/same")).toBeGreaterThanOrEqual(8_100)
})

test("the port of a page that closes leads to the next", async () => {
  for (let index = 0; index < PORTS; index++) await outcome(`/${index}`, open(`/${index}`))
  const port = await portAt("/5")
  expect(await outcome("/more", open("/more"))).toBe(1_013)
  pages[5].terminate()
  // Many at once, so that one of them is there as soon as the program has heard of the end.
  const openOne = (_: unknown, index: number) => outcome(`/more/${index}`, open(`/more/${index}`))
  const results: number[] = []
  while (results.every((each): boolean => each === 1_013)) {
    results.push(...(await Promise.all(Array.from({ length: 40 }, openOne))))
  }
  expect(results.filter((result) => result !== 1_013)).toEqual([port])
})

test("pages that guests serve get no network", async () => {
  const { host } = new URL(url)
  for (const origin of ["http://127.0.0.1:8100", "http://localhost", "http://site.example", `http://${host}.example`]) {
    const [error] = await once(new WebSocket(url.replace("http", "ws"), { origin }), "error")
    expect(String(error), origin).toMatch(/401/)
  }
  for (const origin of [`http://${host}`, `http://${host.replace("127.0.0.1", "localhost")}`]) {
    const page = new WebSocket(url.replace("http", "ws"), { origin })
    pages.push(page)
    await once(page, "open")
  }
})
