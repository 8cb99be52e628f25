import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { keepCode, keptScript, runBundle } from "./kept-code.ts"

const BUNDLE = 'exports.path = __filename; globalThis.kept = [require("node:path").sep, exports.path, "a"]'
const NOBODY = 65_534
/** The end of the kept text. */
const AFTER = "\n})"

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kept-"))
  path = join(folder, "bundle.cjs")
  writeFileSync(path, BUNDLE, { mode: 0o644 })
})

afterEach(() => {
  rmSync(folder, { recursive: true })
  vi.unstubAllGlobals()
})

const keep = () => keepCode(path, setFlagsFromString)
/**
 * True if V8 rejects the code. Tested on copies: V8 does not read the code of a file that this process has compiled.
 */
function isRefused(): boolean | undefined {
  const copy = join(mkdtempSync(join(folder, "copy-")), "bundle.cjs")
  for (const suffix of ["", ".kept"]) {
    copyFileSync(path + suffix, copy + suffix)
    chmodSync(copy + suffix, statSync(path + suffix).mode)
  }
  return keptScript(copy)?.cachedDataRejected
}

test.each([
  ["ASCII", BUNDLE],
  ["other letters", BUNDLE.replace('"a"', '"ü→"')],
])("a bundle of %s runs the same with code that is kept and without", (_what, text) => {
  writeFileSync(path, text)
  vi.stubGlobal("kept", undefined)
  runBundle(path)
  const without = Reflect.get(globalThis, "kept")
  expect(without.slice(0, 2)).toEqual(["/", path])
  keep()
  expect(isRefused()).toBe(false)
  vi.stubGlobal("kept", undefined)
  runBundle(path)
  expect(Reflect.get(globalThis, "kept")).toEqual(without)
})

test("nothing but the kept code is left beside the bundle", () => {
  keep()
  keep()
  expect(readdirSync(folder).sort()).toEqual(["bundle.cjs", "bundle.cjs.kept"])
})

describe("what is kept is passed over", () => {
  test("when there is none", () => expect(keptScript(path)).toBeUndefined())

  test("when the bundle is another by a letter, and as long", () => {
    keep()
    writeFileSync(path, BUNDLE.replace('"a"', '"b"'))
    expect(keptScript(path)).toBeUndefined()
  })

  test("when others can write it who can't write the bundle", () => {
    keep()
    chmodSync(`${path}.kept`, 0o664)
    expect(keptScript(path)).toBeUndefined()
    chmodSync(path, 0o664)
    expect(isRefused()).toBe(false)
  })

  test.runIf(process.getuid?.() === 0)("when it belongs to somebody else", () => {
    keep()
    chownSync(`${path}.kept`, NOBODY, NOBODY)
    expect(keptScript(path)).toBeUndefined()
  })

  test.each(["version", "arch"])("when another runtime made it (%s)", (what) => {
    keep()
    vi.stubGlobal("process", { ...process, version: process.version, arch: process.arch, [what]: "other" })
    expect(keptScript(path)).toBeUndefined()
  })

  test("when it is cut short, wherever", () => {
    keep()
    const { length } = readFileSync(`${path}.kept`)
    for (const end of [length - 1, length - 100, BUNDLE.length + 120, BUNDLE.length, 3, 0]) {
      truncateSync(`${path}.kept`, end)
      expect(isRefused()).not.toBe(false)
    }
  })

  test("when a bit of it is another, wherever", () => {
    keep()
    const kept = readFileSync(`${path}.kept`)
    for (let at = 0; at < kept.length; at += 13) {
      const damaged = Buffer.from(kept)
      damaged[at] ^= 4
      writeFileSync(`${path}.kept`, damaged)
      expect(keptScript(path)).toBeUndefined()
    }
  })

  test("when its end, or all of the code, is zeros", () => {
    keep()
    const kept = readFileSync(`${path}.kept`)
    const codeStart = kept.indexOf(AFTER) + AFTER.length
    for (const from of [kept.length - 100, (kept.length + codeStart) >> 1, codeStart + 100, codeStart, 0]) {
      writeFileSync(`${path}.kept`, Buffer.from(kept).fill(0, from))
      expect(isRefused()).not.toBe(false)
    }
  })
})

test("V8 refuses the code of a runtime with other options", () => {
  keep()
  setFlagsFromString("--no-flush-bytecode")
  try {
    expect(isRefused()).toBe(true)
  } finally {
    setFlagsFromString("--flush-bytecode")
  }
  expect(isRefused()).toBe(false)
})
