// A registry on loopback that has the packed packages of a folder and what is published to it, and nothing else.
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { json } from "node:stream/consumers"
import { manifestIn } from "../pack/manifest.mjs"

/**
 * @param {string} folder
 * @param {string} file
 */
function read(folder, file) {
  const bytes = readFileSync(join(folder, file))
  const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`
  return { file, bytes, integrity, manifest: manifestIn(join(folder, file)) }
}

/**
 * Keeps the archive that `npm publish` sends.
 * @param {string} folder
 * @param {import("node:http").IncomingMessage} request
 */
async function receive(folder, request) {
  const { _attachments: attachments } = /** @type {any} */ (await json(request))
  const [[name, { data }]] = Object.entries(attachments)
  const file = name.replace("/", "-")
  writeFileSync(join(folder, file), Buffer.from(data, "base64"))
  return read(folder, file)
}

/**
 * What a registry says about a package with one version.
 * @param {ReturnType<typeof read>} archive
 * @param {string} address
 */
function described({ file, bytes, integrity, manifest }, address) {
  const { name, scripts } = manifest
  // As registries do: build metadata is no part of a version.
  const [version] = manifest.version.split("+")
  const shasum = createHash("sha1").update(bytes).digest("hex")
  const dist = { tarball: `${address}-/${file}`, integrity, shasum }
  return {
    name,
    "dist-tags": { latest: version },
    versions: {
      [version]: { ...manifest, version, dist, hasInstallScript: Boolean(scripts?.install ?? scripts?.postinstall) },
    },
    time: {
      created: "2026-01-01T00:00:00.000Z",
      modified: "2026-01-01T00:00:00.000Z",
      [version]: "2026-01-01T00:00:00.000Z",
    },
  }
}

/**
 * Serves the archives. Returns the address, names that were asked for in vain, and how to end it.
 * @param {string} folder
 */
export async function serve(folder) {
  const archives = readdirSync(folder).map((file) => read(folder, file))
  /** @type {Set<string>} */
  const missing = new Set()
  const optional = new Set(archives.flatMap(({ manifest }) => Object.keys(manifest.peerDependenciesMeta ?? {})))
  const server = createServer(async (request, response) => {
    const { method, url = "", headers } = request
    if (method === "PUT") {
      archives.push(await receive(folder, request))
      response.writeHead(201).end("{}")
      return
    }
    const path = decodeURIComponent(url.slice(1))
    const file = archives.find((archive) => `-/${archive.file}` === path)
    const found = archives.find(({ manifest }) => manifest.name === path)
    if (file !== undefined) {
      response.end(file.bytes)
    } else if (found !== undefined) {
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify(described(found, `http://${headers.host}/`)))
    } else {
      if (!optional.has(path)) missing.add(path)
      response.writeHead(404).end("{}")
    }
  })
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)))
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
  return { address: `http://127.0.0.1:${port}/`, missing, close: () => server.close() }
}
