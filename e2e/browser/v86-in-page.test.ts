/** A Linux in v86, in a page with its whole network: examples/v86-in-page. */
import { createHash, randomBytes } from "node:crypto"
import { gzipSync } from "node:zlib"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type Example, openBrowser, startExample } from "./examples.ts"
import { GuestPage } from "./guest-page.ts"
import { closedPort, serveFile, serveNames, type TestServer } from "./servers.ts"

const NAME = "files.example"
const SIZE = 4 << 20
const file = randomBytes(SIZE)
const hash = createHash("sha256").update(file).digest("hex")

let names: TestServer
let files: TestServer
let example: Example
let browser: Browser
let guest: GuestPage

beforeAll(async () => {
  names = await serveNames(NAME, "10.0.2.2")
  files = await serveFile(file)
  example = await startExample("v86-in-page")
  browser = await openBrowser()
  guest = await GuestPage.start(browser, `${example.url}?dns=127.0.0.1:${names.port}`)
})

afterAll(async () => {
  await browser?.close()
  example?.close()
  files?.close()
  names?.close()
})

test("the guest has addresses by DHCP and by router advertisement", async () => {
  const { output } = await guest.run("ip addr show dev eth0 scope global")
  expect(output).toMatch(/inet 10\.0\.2\.15\/24/)
  expect(output).toMatch(/inet6 fd9a:559a:559a:2:[0-9a-f:]{10,}\/64 scope global dynamic/)
})

test("the guest resolves a name, and downloads 4 MiB through the stack in the page", async () => {
  const { output } = await guest.run(`wget -q -O - http://${NAME}:${files.port}/ | sha256sum`)
  expect(output).toBe(`${hash}  -\n`)
  const table = await guest.page.locator("tbody").innerText()
  expect(table).toContain(`127.0.0.1:${files.port}`)
  expect(table).toContain(`127.0.0.1:${names.port}`)
  console.log(await guest.page.locator("caption").innerText())
})

test("a connection of the guest to a closed port is refused", async () => {
  const { output, status } = await guest.run(`wget -O - http://10.0.2.2:${await closedPort()}/`)
  expect(output).toMatch(/Connection refused/)
  expect(status).toBe(1)
})

test("the page is small", async () => {
  const page = await (await fetch(new URL("page.js", example.url))).arrayBuffer()
  const { length } = gzipSync(new Uint8Array(page), { level: 9 })
  console.log(`the page's program: ${length} bytes, compressed`)
  expect(length).toBeLessThan(100_000)
})
