import fs, { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { build } from "esbuild"
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest"

const folder = realpathSync(mkdtempSync(join(tmpdir(), "native-files-")))
const bundles = { cjs: join(folder, "app", "bundle.cjs"), esm: join(folder, "app", "bundle.mjs") }
const modules = join(folder, "app", "node_modules")
const ofGnu = `sys-linux-${process.arch}-gnu`
const ofMusl = `sys-linux-${process.arch}-musl`

type Bundle = typeof import("./native-files.ts")
let copies = 0

/** Another instance each time: what a program has named is kept in a module. */
async function bundle(format: "cjs" | "esm"): Promise<Bundle> {
  copies += 1
  const found = await import(`${pathToFileURL(bundles[format])}?${copies}`)
  return found.default ?? found
}

/** Creates an empty file, and returns its path. */
function put(...path: string[]): string {
  const file = join(...path)
  mkdirSync(join(file, ".."), { recursive: true })
  writeFileSync(file, "")
  return file
}

beforeAll(async () => {
  const entryPoints = [new URL("./native-files.ts", import.meta.url).pathname]
  for (const format of ["cjs", "esm"] as const) {
    const options = { entryPoints, format, bundle: true, platform: "node", outfile: bundles[format] } as const
    await build({ ...options, logLevel: "error", logOverride: { "empty-import-meta": "silent" } })
  }
})
afterEach(() => rmSync(modules, { recursive: true, force: true }))
afterAll(() => rmSync(folder, { recursive: true }))

test.each(["cjs", "esm"] as const)("a bundle (%s) says what to call where there is nothing", async (format) => {
  const { requiredNativeFile } = await bundle(format)
  expect(() => requiredNativeFile("demiflow.node")).toThrow(/isn't built: .*calls useNativeFolder\(\) with the folder/)
})

test.each(["cjs", "esm"] as const)("a bundle (%s) uses the folder that it names, and no other", async (format) => {
  put(modules, "@demiflow/sys/build/demiflow.node")
  const copy = put(folder, "copies/demiflow.node")
  const { useNativeFolder, locateNativeFile } = await bundle(format)
  useNativeFolder(join(folder, "copies"))
  expect(locateNativeFile("demiflow.node")).toBe(copy)
  expect(locateNativeFile("become")).toBeUndefined()
})

test.each(["cjs", "esm"] as const)("a bundle (%s) has a file made of contents, once each", async (format) => {
  put(modules, "@demiflow/sys/build/demiflow.node")
  const { useNativeContents, locateNativeFile, releaseNativeFile } = await bundle(format)
  useNativeContents((name) => Buffer.from(`contents of ${name}`))
  const path = locateNativeFile("become") ?? ""
  expect(readFileSync(path, "utf8")).toBe("contents of become")
  expect(locateNativeFile("become")).toBe(path)
  releaseNativeFile("become")
  expect(() => readFileSync(path)).toThrow(/ENOENT/)
})

test.each(["cjs", "esm"] as const)("a bundle (%s) reports contents that are missing as that", async (format) => {
  const { useNativeContents, requiredNativeFile } = await bundle(format)
  useNativeContents((name) => {
    throw new Error(`no asset ${name}`)
  })
  expect(() => requiredNativeFile("become")).toThrow(/^no asset become$/)
})

test("where no folder can have a file made of contents, the message has the reason", async () => {
  const { useNativeContents, requiredNativeFile } = await bundle("esm")
  useNativeContents(() => Buffer.from("contents"))
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" })
  const write = vi.spyOn(fs, "writeFileSync").mockImplementation(() => {
    throw full
  })
  syncBuiltinESMExports()
  try {
    expect(() => requiredNativeFile("become")).toThrow(/^become can't be executed from any of .*ENOSPC: no space left/)
  } finally {
    write.mockRestore()
    syncBuiltinESMExports()
  }
})

test.each(["cjs", "esm"] as const)(
  "a bundle (%s) finds what was compiled before what came compiled",
  async (format) => {
    const came = put(modules, "@demiflow", ofGnu, "demiflow.node")
    put(modules, "@demiflow/sys/package.json")
    const { locateNativeFile } = await bundle(format)
    expect(locateNativeFile("demiflow.node")).toBe(came)
    const compiled = put(modules, "@demiflow/sys/build/demiflow.node")
    expect(locateNativeFile("demiflow.node")).toBe(compiled)
  },
)

test("a folder `build` beside that of a bundle isn't the package's, and that of the package is", async () => {
  const planted = put(folder, "build/demiflow.node")
  const { locateNativeFile } = await bundle("esm")
  expect(locateNativeFile("demiflow.node")).toBeUndefined()
  writeFileSync(join(folder, "package.json"), '{"name":"an-application"}')
  expect(locateNativeFile("demiflow.node")).toBeUndefined()
  writeFileSync(join(folder, "package.json"), '{"name":"@demiflow/sys"}')
  expect(locateNativeFile("demiflow.node")).toBe(planted)
  for (const each of ["build", "package.json"]) rmSync(join(folder, each), { recursive: true })
})

test("an optional package is found beside a linked package, and inside of it", async () => {
  const store = join(modules, ".store/@demiflow+sys/node_modules/@demiflow")
  put(store, "sys/package.json")
  mkdirSync(join(modules, "@demiflow"))
  symlinkSync(join(store, "sys"), join(modules, "@demiflow/sys"))
  const { locateNativeFile } = await bundle("esm")
  const beside = put(store, ofMusl, "demiflow.node")
  expect(locateNativeFile("demiflow.node")).toBe(beside)
  rmSync(beside)
  const inside = put(store, "sys/node_modules/@demiflow", ofMusl, "demiflow.node")
  expect(locateNativeFile("demiflow.node")).toBe(inside)
})

test("of both C libraries', that of the runtime is used", async () => {
  put(modules, "@demiflow/sys/package.json")
  const gnu = put(modules, "@demiflow", ofGnu, "demiflow.node")
  const musl = put(modules, "@demiflow", ofMusl, "demiflow.node")
  const { locateNativeFile } = await bundle("esm")
  const { header } = process.report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } }
  expect(locateNativeFile("demiflow.node")).toBe(header.glibcVersionRuntime === undefined ? musl : gnu)
})

test("a runtime is asked for its C library without its connections, and one without reports is taken for glibc", async () => {
  put(modules, "@demiflow/sys/package.json")
  const gnu = put(modules, "@demiflow", ofGnu, "demiflow.node")
  const musl = put(modules, "@demiflow", ofMusl, "demiflow.node")
  const { locateNativeFile } = await bundle("esm")
  const excluded: unknown[] = []
  const report = {
    excludeNetwork: false,
    getReport: () => {
      excluded.push(report.excludeNetwork)
      return { header: {} }
    },
  }
  const reports = vi.spyOn(process, "report", "get").mockReturnValue(report as never)
  expect(locateNativeFile("demiflow.node")).toBe(musl)
  expect([excluded, report.excludeNetwork]).toEqual([[true], false])
  reports.mockReturnValue(undefined as never)
  expect(locateNativeFile("demiflow.node")).toBe(gnu)
  reports.mockRestore()
})
