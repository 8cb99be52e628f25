import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { memoryLinkPair } from "@demiflow/tap"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { bundle } from "./bundle.fixture.mjs"
import type { createGateway } from "./gateway.ts"

/** What esbuild reports about a bundle, as far as it is used here. */
interface Metafile {
  readonly inputs: Readonly<Record<string, unknown>>
  readonly outputs: Readonly<Record<string, { readonly imports: readonly { readonly external?: boolean }[] }>>
}

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gateway-page-"))
  await bundle("page", join(import.meta.dirname, "index.ts"), folder, {
    platform: "browser",
    external: [],
    metafile: true,
  })
}, 120_000)

afterAll(() => rm(folder, { recursive: true }))

test("a bundle for a page has neither parts of Node.js nor sockets of the host", async () => {
  const { inputs, outputs }: Metafile = JSON.parse(await readFile(join(folder, "metafile-esm.json"), "utf8"))
  const imports = Object.values(outputs).flatMap((output) => output.imports)
  expect(imports.filter(({ external }) => external)).toEqual([])
  const sources = Object.keys(inputs)
  expect(sources.some((path) => path.endsWith("tcp/src/index.ts"))).toBe(true)
  const ofHost = sources.filter((path) => /packages\/(sys|node-sockets)\//.test(path))
  expect(ofHost.every((path) => path.startsWith("(disabled):"))).toBe(true)
})

test("in a page, a gateway without sockets is refused in one sentence", async () => {
  const bundle: { createGateway: typeof createGateway } = await import(pathToFileURL(join(folder, "page.mjs")).href)
  vi.stubGlobal("process", undefined)
  const opening = bundle.createGateway({ link: (arena) => memoryLinkPair(arena, arena)[0] }).catch((error) => error)
  const error = await opening.finally(() => vi.unstubAllGlobals())
  expect(error).toMatchObject({
    code: "ERR_GATEWAY_SOCKETS",
    message: "There are no sockets for a gateway here (a page has none of its own): pass sockets and loop",
  })
})
