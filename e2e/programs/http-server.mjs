// A web server: files of a folder, and /bytes/N, which is N bytes of the pattern of seed 1. The answer to a
// POST is the SHA-256 of its body.
// Request: {"listen": [addresses], "port", "folder"}.
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { stat } from "node:fs/promises"
import { createServer } from "node:http"
import { join, normalize } from "node:path"
import { send } from "./pattern.mjs"

const { listen, port, folder } = JSON.parse(process.argv[2])

async function hashOfBody(request) {
  const hash = createHash("sha256")
  for await (const piece of request) hash.update(piece)
  return hash.digest("hex")
}

async function handle(request, response) {
  if (request.method === "POST") {
    response.end(await hashOfBody(request))
    return
  }
  const { pathname } = new URL(request.url, "http://server")
  const [, count] = /^\/bytes\/(\d+)$/.exec(pathname) ?? []
  if (count !== undefined) {
    response.writeHead(200, { "content-length": count })
    await send(response, 1, Number(count))
    response.end()
    return
  }
  const path = join(folder, normalize(pathname))
  const { size } = await stat(path)
  response.writeHead(200, { "content-length": size })
  createReadStream(path).pipe(response)
}

for (const address of listen) {
  const server = createServer((request, response) => {
    handle(request, response).catch(() => {
      if (!response.headersSent) response.writeHead(404)
      response.end()
    })
  })
  await new Promise((resolve) => server.listen(port, address, resolve))
}
process.stdout.write("ready\n")
