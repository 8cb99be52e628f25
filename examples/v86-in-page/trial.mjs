// npm run trial: starts the server, and fetches what a browser would.
import { spawn } from "node:child_process"
import { once } from "node:events"

const server = spawn(process.execPath, ["dist/main.js", "8088"], { stdio: ["ignore", "pipe", "inherit"] })
const [url] = await once(server.stdout, "data")
for (const path of ["/", "/page.js", "/v86.wasm"]) {
  const response = await fetch(new URL(path, String(url).trim()))
  const { byteLength } = await response.arrayBuffer()
  console.log(`${path}: ${response.status}, ${byteLength} bytes`)
  if (response.status !== 200 || byteLength === 0) process.exitCode = 1
}
server.kill()
