// npm run test:other-runtimes: a gateway under Bun and Deno, whose sockets are those of @demiflow/node-sockets, and under
// this Node.js for comparison. npm's packages provide the runtimes, in a temporary folder. The servers run here.
import { execFileSync, spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { bundle } from "../../packages/gateway/src/bundle.fixture.mjs"

const BYTES = 64 << 20
const PATIENCE = 300_000
/** Versions that were seen to work. */
const RUNTIMES = [
  { name: "Node.js", packages: [], command: () => [process.execPath] },
  { name: "Bun", packages: ["bun@1.4.5"], command: (/** @type {string} */ bin) => [join(bin, "bun")] },
  {
    name: "Deno",
    packages: ["deno@2.9.6"],
    command: (/** @type {string} */ bin) => [join(bin, "deno"), "run", "--allow-all", "--no-prompt"],
  },
]

const root = fileURLToPath(new URL("../..", import.meta.url))

/** @param {string} folder @param {readonly string[]} packages */
function install(folder, packages) {
  const options = ["--no-save", "--no-audit", "--no-fund", "--silent", "--prefix", folder]
  if (packages.length > 0) execFileSync("npm", ["install", ...options, ...packages], { cwd: folder, stdio: "inherit" })
  return join(folder, "node_modules", ".bin")
}

/** A server of this process. @param {import("node:net").Server | import("node:dgram").Socket} server */
async function portOf(server) {
  await once(server, "listening")
  const bound = server.address()
  if (bound === null || typeof bound === "string") throw new Error("A server without a port")
  return bound.port
}

/** Servers at all addresses of both versions of IP. @param {(socket: import("node:net").Socket) => void} serve */
function listen(serve) {
  return portOf(createServer({ allowHalfOpen: true }, (socket) => serve(socket.on("error", () => {}))).listen(0))
}

/** @param {import("node:net").Socket} socket */
function exchange(socket) {
  const content = randomBytes(BYTES)
  const received = createHash("sha256")
  socket.on("data", (bytes) => received.update(bytes))
  socket.on("end", () => socket.end(createHash("sha256").update(content).digest("hex") + received.digest("hex")))
  socket.write(content)
}

/** @param {import("node:net").Socket} socket */
function reset(socket) {
  socket.write("hello")
  socket.on("data", () => socket.resetAndDestroy())
}

async function startServers() {
  const datagrams = createSocket("udp4").bind(0, "127.0.0.1")
  datagrams.on("message", (text, { port, address }) => datagrams.send(`${text} to you`, port, address))
  const udp = await portOf(datagrams)
  const gone = createServer().listen(0)
  const closed = await portOf(gone)
  gone.close()
  return {
    exchange: await listen(exchange),
    bytes: BYTES,
    reset: await listen(reset),
    closed,
    udp,
  }
}

/** @param {readonly string[]} command */
async function succeeds([file, ...argv]) {
  const child = spawn(file, argv, { stdio: "inherit", timeout: PATIENCE })
  const [status, signal] = await once(child, "exit")
  if (status !== 0) console.log(`ended with ${signal ?? `status ${status}`}`)
  return status === 0
}

const folder = mkdtempSync(join(tmpdir(), "demiflow-runtimes-"))
try {
  const program = await bundle("exercise", join(root, "packages/gateway/src/exercise.fixture.ts"), folder)
  const servers = JSON.stringify(await startServers())
  for (const { name, packages, command } of RUNTIMES) {
    console.log(`\n== ${[name, ...packages].join(": ")}`)
    if (!(await succeeds([...command(install(folder, packages)), program, servers]))) process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true })
}
process.exit()
