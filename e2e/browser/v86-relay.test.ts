/** A Linux in v86, in a page, behind examples/v86-relay. */
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { WebSocket } from "ws"
import { type Example, openBrowser, startExample } from "./examples.ts"
import { GuestPage } from "./guest-page.ts"
import { closedPort, serveFile, serveNames, type TestServer } from "./servers.ts"

const NAME = "files.example"
const SIZE = 4 << 20
const file = randomBytes(SIZE)
const hash = createHash("sha256").update(file).digest("hex")

let names: TestServer
let files: TestServer
let relay: Example
let browser: Browser
let guest: GuestPage

beforeAll(async () => {
  names = await serveNames(NAME, "10.0.2.2")
  files = await serveFile(file)
  const options = { nameServers: [{ address: "127.0.0.1", port: names.port }] }
  relay = await startExample("v86-relay", JSON.stringify(options))
  browser = await openBrowser()
  guest = await GuestPage.start(browser, relay.url)
})

afterAll(async () => {
  await browser?.close()
  relay?.close()
  files?.close()
  names?.close()
})

test("the guest has addresses by DHCP and by router advertisement", async () => {
  const { output } = await guest.run("ip addr show dev eth0 scope global")
  expect(output).toMatch(/inet 10\.0\.2\.15\/24/)
  expect(output).toMatch(/inet6 fd9a:559a:559a:2:[0-9a-f:]{10,}\/64 scope global dynamic/)
  const { output: routes } = await guest.run("ip route; ip -6 route")
  expect(routes).toMatch(/default via 10\.0\.2\.2 dev eth0/)
  expect(routes).toMatch(/default via fe80::[0-9a-f:]+ dev eth0/)
})

test("the guest resolves a name", async () => {
  const { output, status } = await guest.run(`nslookup -type=a ${NAME}`)
  expect(output).toMatch(/Server:\s+10\.0\.2\.3/)
  expect(output).toMatch(/Address: 10\.0\.2\.2\n/)
  expect(status).toBe(0)
})

test("the guest downloads 4 MiB, and the page shows the flow", async () => {
  const { output } = await guest.run(`wget -q -O - http://${NAME}:${files.port}/ | sha256sum`)
  expect(output).toBe(`${hash}  -\n`)
  // What it had carried shortly before its end.
  const row = guest.page.locator("tr", { hasText: `127.0.0.1:${files.port}` })
  const received = Number((await row.locator("td").last().innerText()).replaceAll(",", ""))
  expect(received).toBeGreaterThan(SIZE / 4)
  const [speed] = /at most (?!0\.0)\d+\.\d MB\/s/.exec(await guest.page.locator("caption").innerText()) ?? []
  console.log(speed)
  expect(speed).toBeDefined()
})

test("a connection of the guest to a closed port is refused", async () => {
  const { output, status } = await guest.run(`wget -O - http://10.0.2.2:${await closedPort()}/`)
  expect(output).toMatch(/Connection refused/)
  expect(status).toBe(1)
})

test("the guest is reached from outside", async () => {
  const address = await guest.page.getByRole("link").getAttribute("href")
  const response = await fetch(String(address))
  expect(await response.text()).toMatch(/A guest in a page serves this/)
})

test("each page has a network of its own, and one that closes takes nothing with it", async () => {
  const second = await GuestPage.start(browser, relay.url)
  const [first, other] = await Promise.all(
    [guest, second].map((each) => each.page.getByRole("link").getAttribute("href")),
  )
  expect(other).not.toBe(first)
  // In the middle of a download.
  await second.page.getByLabel("Console").pressSequentially(`wget -O /dev/null http://${NAME}:${files.port}/\n`)
  await second.page.getByRole("cell", { name: `127.0.0.1:${files.port}` }).waitFor()
  await second.page.close()
  const { output } = await guest.run(`wget -q -O - http://${NAME}:${files.port}/ | sha256sum`)
  expect(output).toBe(`${hash}  -\n`)
  await expect(fetch(String(other))).rejects.toThrow()
})

test("pages of other sites get no network", async () => {
  const socket = new WebSocket(relay.url.replace("http", "ws"), { origin: "http://site.example" })
  const [error] = await once(socket, "error")
  expect(String(error)).toMatch(/401/)
})
